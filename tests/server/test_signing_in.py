"""People sign in by a link, a password or a token, and what they may no longer do ends at once."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.testclient import TestClient

from casewise.errors import UsageError
from casewise.server import store as tables
from casewise.server import users
from casewise.server.access import LOCAL, Person
from casewise.server.logins import LINK_SECONDS, one_time_link
from casewise.server.store import Store
from casewise.server.tokens import issue_token, person_of_token, revoke
from tests.server.people import HERE, OURS, in_browser, nobody, signed_in

PASSWORD = "correct horse battery"


def store_of(app: FastAPI) -> Store:
    return app.state.services.store


def later(store: Store, table: sa.Table, column: str, seconds: float) -> None:
    """Let time pass for ``table``."""
    with store.write() as connection:
        connection.execute(sa.update(table).values({column: table.c[column] - seconds}))


@pytest.fixture
def people(app: FastAPI) -> Store:
    """Three users, one of each role."""
    store = store_of(app)
    for name, role in (("anna", "admin"), ("ben", "annotator"), ("rita", "reader")):
        users.save(store, name, role, password=PASSWORD)
    return store


def test_the_link_signs_in_once_and_sends_on_to_the_first_page(app: FastAPI) -> None:
    link = one_time_link(store_of(app), HERE)
    browser = nobody(app)
    answer = browser.get(link)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Path=/" in cookie
    assert browser.get("/api/v1/me").json() == browser.get("/api/v1/me").json() | {"name": LOCAL, "role": "admin", "users": False}
    second = nobody(app).get(link)
    assert second.status_code == 403 and "used before" in second.text


def test_an_old_link_is_refused(app: FastAPI) -> None:
    link = one_time_link(store_of(app), HERE)
    later(store_of(app), tables.links, "expires", LINK_SECONDS)
    assert nobody(app).get(link).status_code == 403


def test_once_there_are_users_neither_the_link_nor_its_cookie_works(app: FastAPI) -> None:
    link = one_time_link(store_of(app), HERE)
    browser, program = in_browser(app), signed_in(app)
    assert browser.get("/api/v1/me").status_code == program.get("/api/v1/me").status_code == 200
    users.save(store_of(app), "anna", "admin", password=PASSWORD)
    assert browser.get("/api/v1/me").status_code == program.get("/api/v1/me").status_code == 401
    assert nobody(app).get(link).status_code == 403


def test_the_form_signs_in_and_leads_to_a_path_of_this_server_alone(app: FastAPI, people: Store) -> None:
    for wanted, led in (
        ("/sets/3?view=all", "/sets/3?view=all"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("javascript:alert(1)", "/"),
    ):
        form = {"name": "anna", "password": PASSWORD, "next": wanted}
        answer = nobody(app).post("/login", data=form, headers={"Origin": HERE})
        assert (answer.status_code, answer.headers["location"]) == (303, led)


def test_a_wrong_password_and_an_unknown_name_are_answered_alike(app: FastAPI, people: Store) -> None:
    wrong = nobody(app).post("/api/v1/login", json={"name": "anna", "password": "x" * 12})
    unknown = nobody(app).post("/api/v1/login", json={"name": "nobody", "password": "x" * 12})
    assert (wrong.status_code, wrong.json()) == (unknown.status_code, unknown.json())
    assert wrong.status_code == 401


def test_the_sixth_failure_of_a_minute_is_refused_even_with_the_right_password(
    app: FastAPI, people: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, wrong, now = {"name": "anna", "password": PASSWORD}, {"name": "anna", "password": "x" * 12}, 100.0
    monkeypatch.setattr("casewise.server.limits.time.monotonic", lambda: now)
    client = nobody(app)
    assert client.post("/api/v1/login", json=right).status_code == 200
    client.cookies.clear()
    assert [client.post("/api/v1/login", json=wrong).status_code for _ in range(6)] == [401] * 5 + [429]
    assert client.post("/api/v1/login", json=right).status_code == 429
    assert nobody(app, address="127.0.0.2").post("/api/v1/login", json=right).status_code == 200
    now = 161.0
    assert client.post("/api/v1/login", json=right).status_code == 200


def test_signing_out_ends_the_login(app: FastAPI, people: Store) -> None:
    browser = in_browser(app, user="ben")
    cookie = browser.cookies["casewise-8080"]
    assert browser.post("/api/v1/logout").status_code == 204
    stolen = nobody(app)
    stolen.cookies.set("casewise-8080", cookie)
    assert stolen.get("/api/v1/me").status_code == 401


@pytest.mark.parametrize(("column", "minutes"), [("seen", 31), ("expires", 12 * 60 + 1)])
def test_a_login_ends_when_idle_and_after_half_a_day(app: FastAPI, people: Store, column: str, minutes: int) -> None:
    browser = in_browser(app, user="ben")
    later(people, tables.logins, column, (minutes - 2) * 60)
    assert browser.get("/api/v1/me").status_code == 200
    later(people, tables.logins, column, minutes * 60)
    assert browser.get("/api/v1/me").status_code == 401


def test_a_changed_role_counts_at_once_for_cookies_and_tokens(app: FastAPI, people: Store) -> None:
    browser, program = in_browser(app, "admin", "ben"), signed_in(app, "annotator", "ben")
    assert browser.get("/api/v1/me").json()["role"] == program.get("/api/v1/me").json()["role"] == "annotator"
    users.save(people, "ben", "reader")
    assert browser.get("/api/v1/me").json()["role"] == program.get("/api/v1/me").json()["role"] == "reader"
    users.save(people, "ben", "admin")
    assert program.get("/api/v1/me").json()["role"] == "annotator"  # a token never has more than it was given


def test_a_disabled_user_is_out_at_once_and_stays_out(app: FastAPI, people: Store) -> None:
    browser, program = in_browser(app, user="ben"), signed_in(app, "reader", "ben")
    users.save(people, "ben", "annotator", disabled=True)
    assert browser.get("/api/v1/me").status_code == program.get("/api/v1/me").status_code == 401
    assert nobody(app).post("/api/v1/login", json={"name": "ben", "password": PASSWORD}).status_code == 401
    users.save(people, "ben", "annotator")
    assert browser.get("/api/v1/me").status_code == program.get("/api/v1/me").status_code == 401


def test_expired_and_revoked_tokens_are_refused(app: FastAPI, people: Store) -> None:
    program = signed_in(app, "reader", "rita")
    later(people, tables.tokens, "expires", 3601)
    answer = program.get("/api/v1/me")
    assert answer.status_code == 401 and "expired" in answer.json()["detail"]
    value, token = issue_token(people, "rita", "reader", 1.0)
    assert not revoke(people, token.id, Person("ben", "annotator", "cookie"))
    assert person_of_token(people, value) is not None
    assert revoke(people, token.id, Person("rita", "reader", "cookie"))
    assert person_of_token(people, value) is None


def test_a_token_has_at_most_the_role_of_its_user(people: Store) -> None:
    with pytest.raises(UsageError, match="at most annotator"):
        issue_token(people, "ben", "admin", 1.0)
    with pytest.raises(UsageError, match="hours"):
        issue_token(people, "ben", "reader", 24 * 400)


@pytest.mark.parametrize("user", ["anna", LOCAL])
def test_a_token_hands_on_no_more_than_it_has(app: FastAPI, request: pytest.FixtureRequest, user: str) -> None:
    if user != LOCAL:
        request.getfixturevalue("people")
    reader = signed_in(app, "reader", user)
    for role in ("annotator", "admin"):
        refused = reader.post("/api/v1/tokens", json={"role": role, "hours": 8000})
        assert (refused.status_code, "at most reader" in refused.json()["detail"]) == (400, True)
    own = reader.get("/api/v1/tokens").json()
    made = reader.post("/api/v1/tokens", json={"role": "reader", "hours": 8000}).json()
    assert [made["expires"]] == [token["expires"] for token in own]
    made_by_made = nobody(app)
    made_by_made.headers["Authorization"] = f"Bearer {made['token']}"
    assert made_by_made.get("/api/v1/me").json()["role"] == "reader"
    assert made_by_made.post("/api/v1/tokens", json={"role": "admin"}).status_code == 400
    longer = in_browser(app, "admin", user).post("/api/v1/tokens", json={"role": "admin", "hours": 8000})
    assert longer.status_code == 201 and longer.json()["expires"] > made["expires"] + 3600  # a password, or the link, vouches


def test_the_token_of_a_desktop_client_stays_an_annotators(app: FastAPI, people: Store) -> None:
    given = nobody(app).post("/auth/token", data={"username": "anna", "password": PASSWORD}).json()
    slicer = nobody(app)
    slicer.headers["Authorization"] = f"Bearer {given['access_token']}"
    assert slicer.post("/api/v1/tokens", json={"role": "admin"}).status_code == 400
    made = slicer.post("/api/v1/tokens", json={"role": "annotator", "hours": 8000}).json()
    assert [token["expires"] for token in slicer.get("/api/v1/tokens").json()] == [made["expires"]] * 2


def test_a_token_sees_and_ends_those_alone_that_are_no_more_than_it(app: FastAPI, people: Store) -> None:
    page, reader, annotator = in_browser(app, user="ben"), signed_in(app, "reader", "ben"), signed_in(app, "annotator", "ben")
    long = page.post("/api/v1/tokens", json={"role": "reader", "hours": 8000}).json()
    high = page.post("/api/v1/tokens", json={"role": "annotator", "hours": 0.5}).json()
    low = page.post("/api/v1/tokens", json={"role": "reader", "hours": 0.5}).json()

    def ends(client: TestClient, token: dict[str, object]) -> bool:
        seen = token["id"] in [one["id"] for one in client.get("/api/v1/tokens").json()]
        status = client.delete(f"/api/v1/tokens/{token['id']}").status_code
        assert status == (204 if seen else 404)
        return seen

    assert not ends(reader, long) and not ends(reader, high) and not ends(annotator, long)
    assert ends(reader, low) and ends(annotator, high) and ends(page, long)
    other = signed_in(app, "annotator", "ben")
    assert [len(one.get("/api/v1/tokens").json()) for one in (reader, other, page)] == [1, 3, 3]
    admin = signed_in(app, "admin", "anna")
    assert len(admin.get("/api/v1/tokens").json()) == 4


def test_no_secret_is_stored_as_it_is(app: FastAPI, people: Store) -> None:
    link = one_time_link(people, HERE)
    value, _token = issue_token(people, "ben", "reader", 1.0)
    browser = in_browser(app, user="ben")
    with people.read() as connection:
        rows = [connection.execute(sa.select(table)).all() for table in (tables.users, tables.tokens, tables.logins, tables.links)]
    for secret in (PASSWORD, value, browser.cookies["casewise-8080"], link.rpartition("/")[2]):
        assert secret not in repr(rows)
    assert "$argon2id$" in repr(rows)


def test_an_admin_always_remains(store: Store) -> None:
    with pytest.raises(UsageError, match="first user must be an admin"):
        users.save(store, "rita", "reader", password=PASSWORD)
    assert not users.any_users(store)
    users.save(store, "anna", "admin", password=PASSWORD)
    for change in ({"role": "reader"}, {"role": "admin", "disabled": True}):
        with pytest.raises(UsageError, match="last admin"):
            users.save(store, "anna", **change)
    assert users.find(store, "anna").role == "admin"


def both_before_either_commits(store: Store, first: Callable[[], object], second: Callable[[], object]) -> list[bool]:
    """Whether each of two changes succeeded. The one that would commit first waits for the other to have done its change too, or
    until it is clear that the other waits for its turn.
    """
    together = threading.Barrier(2, timeout=2)

    def held(_connection: sa.Connection) -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait()

    sa.event.listen(store.engine, "commit", held)
    try:
        with ThreadPoolExecutor(2) as threads:
            return [one.exception() is None for one in [threads.submit(first), threads.submit(second)]]
    finally:
        sa.event.remove(store.engine, "commit", held)


def test_of_two_admins_who_are_disabled_at_once_one_remains(store: Store) -> None:
    for name in ("anna", "ben"):
        users.save(store, name, "admin", password=PASSWORD)
    done = both_before_either_commits(
        store,
        lambda: users.save(store, "anna", "admin", disabled=True),
        lambda: users.save(store, "ben", "reader"),
    )
    assert sorted(done) == [False, True]
    assert [one.role for one in users.everyone(store) if not one.disabled].count("admin") == 1


def test_a_user_who_signs_in_twice_at_once_for_the_first_time_is_added_once(store: Store) -> None:
    def sign_in() -> users.User:
        return users.from_provider(store, "anna", "subject-1", "admin")

    assert both_before_either_commits(store, sign_in, sign_in) == [True, True]
    assert [one.name for one in users.everyone(store)] == ["anna"]


@pytest.mark.parametrize("name", ["", "local", "Anna", "a b", "../etc", "<b>", "a" * 65, "é", "a@b", "a\n"])
def test_names_that_could_mean_something_else_are_refused(store: Store, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a user's name"):
        users.save(store, name, "admin", password=PASSWORD)


def test_short_passwords_are_refused_without_being_repeated(app: FastAPI, people: Store) -> None:
    with pytest.raises(UsageError, match="12 to 200") as refused:
        users.save(people, "carl", "reader", password="tooshort")
    assert "tooshort" not in str(refused.value)


def test_the_login_page_needs_no_script_and_says_what_to_do(app: FastAPI) -> None:
    page = nobody(app).get("/login").text
    assert "casewise users ARCHIVE link --url http://127.0.0.1:8080" in page and "<form" not in page
    users.save(store_of(app), "anna", "admin", password=PASSWORD)
    page = nobody(app).get("/login", params={"next": '"><script>alert(1)</script>'}).text
    assert "<form" in page and "<script" not in page
    assert re.search(r'name="next" value="/"', page)


def test_two_servers_on_one_machine_keep_their_logins_apart(app: FastAPI) -> None:
    other = nobody(app, url="http://127.0.0.1:8081")
    assert other.get(one_time_link(store_of(app), "http://127.0.0.1:8081")).headers["set-cookie"].startswith("casewise-8081=")


def test_over_https_the_cookie_is_secure(app: FastAPI) -> None:
    client = nobody(app, url="https://127.0.0.1")
    cookie = client.get(one_time_link(store_of(app), "https://127.0.0.1")).headers["set-cookie"]
    assert cookie.startswith("__Host-casewise=") and "Secure" in cookie


def test_me_says_who_is_asking(app: FastAPI, people: Store) -> None:
    answer = nobody(app).post("/api/v1/login", json={"name": "rita", "password": PASSWORD}, headers=OURS)
    assert answer.json() | {"name": "rita", "role": "reader", "users": True} == answer.json()


def test_people_change_their_own_password(app: FastAPI, people: Store) -> None:
    browser, stolen = nobody(app), in_browser(app, user="ben")
    browser.headers["Origin"] = HERE
    form = {"name": "ben", "password": PASSWORD, "new": "a newer password", "again": "a newer password"}
    assert browser.get("/login/password").text.count("<input") == 4
    for wrong, why in (
        ({"again": "another one here"}, "differ"),
        ({"password": "not this one"}, "is wrong"),
        ({"new": "short", "again": "short"}, "12 to 200"),
    ):
        refused = browser.post("/login/password", data=form | wrong)
        assert refused.status_code in {400, 401} and why in refused.text
    done = browser.post("/login/password", data=form)
    assert done.status_code == 200 and "Your password is changed" in done.text
    assert stolen.get("/api/v1/me").status_code == 401
    assert browser.post("/login", data={"name": "ben", "password": "a newer password"}).status_code == 303
    assert nobody(app).post("/login/password", data=form, headers={"Origin": "http://evil.example"}).status_code == 403


def test_a_page_leads_to_the_sign_in_and_back(app: FastAPI, people: Store) -> None:
    browser = nobody(app)
    away = browser.get("/sets/3?view=all")
    assert (away.status_code, away.headers["location"]) == (303, "/login?next=/sets/3%3Fview%3Dall")
    assert 'value="/sets/3?view=all"' in browser.get(away.headers["location"]).text
    assert in_browser(app, user="rita").get("/sets/3").status_code == 200
