"""People sign in at a real identity provider, and an answer that is not quite right lets nobody in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from joserfc.jwk import RSAKey

from casewise.archive import Archive
from casewise.errors import UsageError
from casewise.server import audit, users
from casewise.server.app import create_app
from casewise.server.settings import Oidc, Settings
from casewise.server.store import Store
from tests.server.people import HERE, nobody
from tests.server.provider import CLIENT, SECRET, Provider, running
from tests.waiting import SECONDS

ROLES = {"doctors": "annotator", "it": "admin", "students": "reader"}


@pytest.fixture(scope="module")
def started() -> Iterator[Provider]:
    with running() as provider:
        yield provider


@pytest.fixture
def provider(started: Provider) -> Provider:
    """The provider, where Anna of the group ``it`` signs in next."""
    fresh = Provider(issuer=started.issuer, key=started.key)
    started.__dict__.update(fresh.__dict__)
    started.person = {"sub": "1", "preferred_username": "Anna@Hospital.example", "groups": ["it", "choir"]}
    return started


@pytest.fixture
def app(provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FastAPI]:
    monkeypatch.setenv("CASEWISE_OIDC_SECRET", SECRET)
    with Archive.open(tmp_path / "archive", create=True) as archive:
        store = Store.open(tmp_path / "archive")
        yield create_app(archive, store, Settings(oidc=Oidc(provider.issuer, CLIENT, roles=ROLES)))
        store.close()


def there(browser: TestClient, next: str = "/") -> str:
    """To the provider and as far as its answer: the address that it sends the browser back to."""
    away = browser.get("/login/oidc", params={"next": next})
    assert away.status_code == 303, away.text
    return httpx.get(away.headers["location"], timeout=SECONDS).headers["location"]


def refused(browser: TestClient, back: str) -> str:
    """The login page's sentence."""
    answer = browser.get(back)
    assert answer.status_code == 403
    assert browser.get("/api/v1/me").status_code == 401
    return answer.text


def test_a_person_of_a_known_group_signs_in_and_goes_on(app: FastAPI, provider: Provider) -> None:
    browser = nobody(app)
    answer = browser.get(there(browser, "/sets/3"))
    assert (answer.status_code, answer.headers["location"]) == (303, "/sets/3")
    me = browser.get("/api/v1/me").json()
    assert (me["name"], me["role"]) == ("anna.hospital.example", "admin")
    assert provider.asked[0]["redirect_uri"] == f"{HERE}/login/oidc/back"
    assert (app.state.services.store.folder / "server.sqlite").read_bytes().find(SECRET.encode()) == -1
    assert audit.entries(app.state.services.store, limit=1)[0].action == "sign in by provider"


def test_the_role_is_that_of_the_groups_at_each_sign_in(app: FastAPI, provider: Provider) -> None:
    browser = nobody(app)
    browser.get(there(browser))
    for groups, role in ((["students", "doctors"], "annotator"), ("students", "reader")):
        provider.person["groups"] = groups
        browser.cookies.clear()
        browser.get(there(browser))
        assert browser.get("/api/v1/me").json()["role"] == role


def test_groups_that_only_the_userinfo_endpoint_lists_count(app: FastAPI, provider: Provider) -> None:
    provider.in_token = False
    browser = nobody(app)
    browser.get(there(browser))
    assert browser.get("/api/v1/me").json()["role"] == "admin"
    provider.userinfo_subject = "2"
    other = nobody(app)
    assert "not valid" in refused(other, there(other))


@pytest.mark.parametrize(
    "wrong",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another-client"},
        {"aud": None},
        {"aud": "another-client", "azp": CLIENT},
        {"aud": ["another-client", "and-another"], "azp": "another-client"},
        {"iss": "http://127.0.0.1:1"},
        {"iss": None},
        {"exp": 1_000_000_000},
        {"exp": None},
        {"iat": 4_000_000_000},
        {"sub": None},
        {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
    ],
    ids=str,
)
def test_a_wrong_claim_is_refused_with_a_sentence(app: FastAPI, provider: Provider, wrong: dict[str, object]) -> None:
    provider.wrong = wrong
    browser = nobody(app)
    assert "answer is not valid" in refused(browser, there(browser))
    assert not users.any_users(app.state.services.store)


def test_only_signatures_by_the_providers_key_count(app: FastAPI, provider: Provider) -> None:
    provider.published = RSAKey.generate_key(2048, parameters={"kid": "one"})
    browser = nobody(app)
    assert "not valid" in refused(browser, there(browser))
    for provider.published, provider.algorithm in ((None, "HS256"), (None, "none")):
        assert "not valid" in refused(browser, there(browser))


def test_a_key_that_the_provider_changed_is_fetched_again(app: FastAPI, provider: Provider) -> None:
    browser = nobody(app)
    browser.get(there(browser))
    provider.key = RSAKey.generate_key(2048, parameters={"kid": "two"})
    browser.cookies.clear()
    assert browser.get(there(browser)).status_code == 303


def test_unknown_groups_and_a_missing_name_are_refused(app: FastAPI, provider: Provider) -> None:
    browser = nobody(app)
    provider.person["groups"] = ["choir"]
    assert "None of your groups" in refused(browser, there(browser))
    provider.person |= {"groups": ["it"], "preferred_username": ""}
    assert "does not say your name" in refused(browser, there(browser))
    provider.person["preferred_username"] = "<script>alert(1)</script>"
    page = refused(browser, there(browser))
    assert "cannot be a user" in page and "<script" not in page


def test_an_answer_for_another_browser_signs_nobody_in(app: FastAPI, provider: Provider) -> None:
    attacker, victim = nobody(app), nobody(app)
    back = there(attacker)
    assert "not begun in this browser" in refused(victim, back)
    assert "not begun in this browser" in refused(attacker, back)  # the state counts once


@pytest.mark.parametrize("query", ["", "state=x", "state=x&code=y", "code=y"])
def test_an_answer_that_nobody_asked_for_is_refused(app: FastAPI, query: str) -> None:
    assert "not begun" in refused(nobody(app), f"/login/oidc/back?{query}")


def test_what_the_provider_refuses_is_refused_here(app: FastAPI, provider: Provider) -> None:
    browser = nobody(app)
    state = parse_qs(urlsplit(there(browser)).query)["state"][0]
    page = refused(browser, f"/login/oidc/back?state={state}&error=access_denied&error_description=<script>")
    assert "refused the sign-in" in page and "<script" not in page


def test_an_old_start_is_refused(app: FastAPI, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = nobody(app)
    back = there(browser)
    now = time.monotonic()
    monkeypatch.setattr("casewise.server.oidc.time.monotonic", lambda: now + 601)
    assert "older than 10 minutes" in refused(browser, back)


def test_a_name_that_somebody_has_is_not_given_to_another(app: FastAPI, provider: Provider) -> None:
    store: Store = app.state.services.store
    users.save(store, "boss", "admin", password="x" * 12)
    provider.person["preferred_username"] = "boss"
    browser = nobody(app)
    assert "belongs to another user" in refused(browser, there(browser))
    provider.person["preferred_username"] = "anna"
    browser.get(there(browser))
    provider.person["preferred_username"] = "boss"  # she renames herself at the provider
    browser.cookies.clear()
    browser.get(there(browser))
    assert browser.get("/api/v1/me").json()["name"] == "anna"


def test_somebody_disabled_here_stays_out(app: FastAPI, provider: Provider) -> None:
    store: Store = app.state.services.store
    users.save(store, "root", "admin", password="x" * 12)
    browser = nobody(app)
    browser.get(there(browser))
    users.save(store, "anna.hospital.example", "admin", disabled=True)
    browser.cookies.clear()
    assert "is disabled here" in refused(browser, there(browser))


def test_the_first_user_is_an_admin(app: FastAPI, provider: Provider) -> None:
    provider.person["groups"] = ["students"]
    browser = nobody(app)
    assert "first user must be an admin" in refused(browser, there(browser))


def test_a_provider_that_is_gone_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASEWISE_OIDC_SECRET", SECRET)
    with Archive.open(tmp_path / "a", create=True) as archive:
        store = Store.open(tmp_path / "a")
        app = create_app(archive, store, Settings(oidc=Oidc("http://127.0.0.1:9", CLIENT, roles=ROLES)))
        answer = nobody(app).get("/login/oidc")
        assert answer.status_code == 502 and "cannot be reached" in answer.text
        store.close()


def test_a_description_of_another_issuer_is_refused(provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASEWISE_OIDC_SECRET", SECRET)
    with Archive.open(tmp_path / "a", create=True) as archive:
        store = Store.open(tmp_path / "a")
        app = create_app(archive, store, Settings(oidc=Oidc(provider.issuer + "/", CLIENT, roles=ROLES)))
        answer = nobody(app).get("/login/oidc")
        assert answer.status_code == 502 and "calls itself" in answer.text
        store.close()


def test_without_a_provider_there_is_no_such_page(tmp_path: Path) -> None:
    with Archive.open(tmp_path / "a", create=True) as archive:
        store = Store.open(tmp_path / "a")
        assert nobody(create_app(archive, store)).get("/login/oidc").status_code == 404
        store.close()


def test_without_its_secret_the_server_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CASEWISE_OIDC_SECRET", raising=False)
    with Archive.open(tmp_path / "a", create=True) as archive:
        store = Store.open(tmp_path / "a")
        with pytest.raises(UsageError, match="CASEWISE_OIDC_SECRET is not set"):
            create_app(archive, store, Settings(oidc=Oidc("https://login.example", CLIENT)))
        store.close()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('issuer = "http://login.example"', "https"),
        ('issuer = "https://login.example"\nroles = {it = "root"}', "root"),
        ('issuer = "https://login.example"\nscope = "profile"', "openid"),
        ('issuer = "https://login.example"\nsecret = "x"', "secret"),
    ],
)
def test_settings_that_would_not_be_safe_are_refused(tmp_path: Path, line: str, why: str) -> None:
    (tmp_path / "server.toml").write_text(f'[oidc]\nclient_id = "casewise"\n{line}\n')
    with pytest.raises(UsageError, match=why):
        Settings.load(tmp_path)
