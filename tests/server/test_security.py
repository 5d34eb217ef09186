"""What is refused before any call sees it: other names, other origins, too much."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI, Request

from casewise.archive import Archive
from casewise.server import users
from casewise.server.access import Annotator, Person, person
from casewise.server.app import create_app
from casewise.server.headers import PAGE, headers_for
from casewise.server.limits import ORDER_BYTES, STRANGER_BYTES
from casewise.server.logs import WithoutSecrets
from casewise.server.settings import Settings
from casewise.server.store import Store
from tests.server.people import HERE, in_browser, nobody, signed_in

PUBLIC = "https://images.hospital.example"


def with_probes(app: FastAPI) -> FastAPI:
    """Calls that say who asks; the last one is where desktop clients ask."""

    @app.api_route("/probe", methods=["GET", "POST", "PUT", "DELETE"])
    async def probe(request: Request, person: Annotator) -> dict[str, object]:
        return {"name": person.name, "how": person.how, "bytes": len(await request.body())}

    @app.api_route("/info/probe", methods=["GET", "POST"])
    def info(request: Request) -> dict[str, str | None]:
        found: Person | None = person(request)
        return {"name": found.name, "role": found.role, "how": found.how} if found else {"name": None}

    return app


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    return with_probes(app)


@pytest.fixture
def public(tmp_path: Path) -> Iterator[FastAPI]:
    """A server behind a proxy, which another page may call."""
    folder = tmp_path / "public"
    settings = Settings(url=PUBLIC, origins=("https://viewer.example",), upload_bytes=100_000, requests_per_second=5)
    with Archive.open(folder, create=True) as archive:
        store = Store.open(folder)
        users.save(store, "anna", "admin", password="x" * 12)
        yield with_probes(create_app(archive, store, settings))
        store.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8080", "localhost:8080", "[::1]:8080", "127.8.9.1", "casewise.localhost"])
def test_loopback_names_are_answered(app: FastAPI, host: str) -> None:
    assert nobody(app).get("/login", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "0.0.0.0", "", "[::1", "127.0.0.1:port", "a@127.0.0.1"],
)
def test_other_names_are_refused_even_with_a_cookie(app: FastAPI, host: str) -> None:
    answer = in_browser(app).get("/probe", headers={"Host": host})
    assert answer.status_code == 400 and "does not answer under that name" in answer.json()["detail"]


def test_the_public_address_is_answered_and_no_other(public: FastAPI) -> None:
    assert nobody(public, url=PUBLIC).get("/login").status_code == 200
    assert nobody(public, url="http://images.hospital.example:8080").get("/login").status_code == 200  # from within the network
    assert nobody(public, url="https://hospital.example").get("/login").status_code == 400


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "http://127.0.0.1:9999", "https://127.0.0.1:8080"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_another_page_cannot_act_with_our_cookie(app: FastAPI, origin: str | None, method: str) -> None:
    browser = in_browser(app)
    browser.headers.pop("Origin")
    headers = {} if origin is None else {"Origin": origin}
    assert browser.request(method, "/probe", headers=headers).status_code == 403
    assert browser.post("/probe", headers={"Origin": HERE}).status_code == 200


def test_a_form_of_our_own_origin_lacks_the_header(app: FastAPI) -> None:
    browser = in_browser(app)
    browser.headers.pop("X-Casewise")
    answer = browser.post("/probe", data={"a": "b"})
    assert answer.status_code == 403 and "X-Casewise" in answer.json()["detail"]


def test_a_program_needs_neither_origin_nor_header(app: FastAPI) -> None:
    assert signed_in(app).post("/probe", content=b"abc").json() == {"name": "local", "how": "token", "bytes": 3}


def test_an_unknown_token_is_refused_even_beside_a_good_cookie(app: FastAPI) -> None:
    answer = in_browser(app).get("/probe", headers={"Authorization": "Bearer cw_unknown"})
    assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"


def test_a_foreign_page_cannot_sign_somebody_in(public: FastAPI) -> None:
    right = {"name": "anna", "password": "x" * 12}
    client = nobody(public, url=PUBLIC)
    assert client.post("/login", data=right, headers={"Origin": "https://evil.example"}).status_code == 403
    assert client.post("/login", data=right, headers={"Origin": PUBLIC}).status_code == 303


def test_only_origins_of_the_settings_may_read_and_never_with_cookies(public: FastAPI) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    client = nobody(public, url=PUBLIC)
    allowed = client.options("/probe", headers={"Origin": "https://viewer.example", **asked})
    assert allowed.headers["access-control-allow-origin"] == "https://viewer.example"
    assert "access-control-allow-credentials" not in allowed.headers
    assert (
        "access-control-allow-origin" not in client.options("/probe", headers={"Origin": "https://evil.example", **asked}).headers
    )
    program = signed_in(public, "admin", "anna")
    program.base_url = PUBLIC
    assert program.post("/probe", headers={"Origin": "https://viewer.example"}).status_code == 200


def test_desktop_clients_of_this_machine_need_no_sign_in_while_there_are_no_users(app: FastAPI) -> None:
    assert nobody(app).get("/info/probe").json() == {"name": "local", "role": "annotator", "how": "local"}
    assert nobody(app).get("/probe").status_code == 401
    for other in (nobody(app, address="192.168.1.7"), nobody(app, address="::ffff:10.0.0.1")):
        assert other.get("/info/probe").json() == {"name": None}
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"):
        assert nobody(app).get("/info/probe", headers={name: "192.168.1.7"}).json() == {"name": None}
    assert nobody(app).post("/info/probe", headers={"Origin": "http://evil.example"}).status_code == 403
    users.save(app.state.services.store, "anna", "admin", password="x" * 12)
    assert nobody(app).get("/info/probe").json() == {"name": None}


def test_desktop_clients_sign_in_where_the_settings_say_so(tmp_path: Path) -> None:
    with Archive.open(tmp_path / "a", create=True) as archive:
        store = Store.open(tmp_path / "a")
        closed = with_probes(create_app(archive, store, Settings(open_clients=False)))
        assert nobody(closed).get("/info/probe").json() == {"name": None}
        store.close()


def test_a_body_is_counted_whatever_its_length_says(public: FastAPI) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(11):
            yield b"x" * 10_000

    program = signed_in(public, "admin", "anna")
    assert program.post("/probe", content=b"x" * 100_000).json()["bytes"] == 100_000
    for content, headers in ((pieces(), {}), (b"x" * 100_001, {}), (pieces(), {"Content-Length": "5"})):
        answer = program.post("/probe", content=content, headers=headers)
        assert answer.status_code == 413 and "100,000 bytes" in answer.json()["detail"]


def test_a_stranger_sends_next_to_nothing(app: FastAPI) -> None:
    for path in ("/api/v1/cases", "/probe", "/login"):
        assert nobody(app).put(path, content=b"x" * (STRANGER_BYTES + 1)).status_code == 413


def test_orders_are_smaller_than_uploads(app: FastAPI) -> None:
    answer = signed_in(app).post("/probe", headers={"Content-Length": str(ORDER_BYTES + 1)})
    assert answer.status_code == 413


def test_one_token_asks_so_many_times_a_second(public: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    program, now = signed_in(public, "admin", "anna"), 100.0
    monkeypatch.setattr("casewise.server.limits.time.monotonic", lambda: now)
    codes = [program.get("/probe").status_code for _ in range(6)]
    assert codes == [200] * 5 + [429]
    assert signed_in(public, "admin", "anna").get("/probe").status_code == 200
    now = 101.0
    assert program.get("/probe").status_code == 200


def test_every_answer_carries_the_headers(app: FastAPI) -> None:
    @app.get("/broken")
    def broken() -> None:
        raise ZeroDivisionError("a secret of the server")

    client = signed_in(app)
    for path in ("/login", "/api/v1/me", "/nothing", "/", "/broken"):
        answer = client.get(path)
        assert answer.headers["content-security-policy"] == PAGE, path
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == ("same-origin" if path == "/login" else "no-referrer")
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers.get("cache-control", "no-store") == "no-store"
        assert "secret" not in answer.text
    assert client.get("/broken").status_code == 500
    assert nobody(app).get("/probe", headers={"Host": "evil.example"}).headers["x-content-type-options"] == "nosniff"


def test_no_policy_allows_inline_script_but_a_sandboxed_report(app: FastAPI) -> None:
    report = headers_for("/api/v1/results/0123/report")["content-security-policy"]
    assert report.startswith("sandbox allow-scripts; default-src 'none'") and "allow-same-origin" not in report
    assert "unsafe" not in PAGE and "frame-ancestors 'none'" in PAGE
    for near in ("/api/v1/results/0123/report/x", "/api/v1/results/a/b/report", "/results/0123/report", "/api/v1/cases/report"):
        assert headers_for(near)["content-security-policy"] == PAGE


def test_the_description_of_the_calls_is_for_those_who_signed_in(app: FastAPI) -> None:
    assert nobody(app).get("/openapi.json").status_code == 401
    assert signed_in(app, "reader").get("/openapi.json").json()["info"]["title"] == "casewise"
    assert nobody(app).get("/docs").status_code == nobody(app).get("/redoc").status_code == 404


def test_a_refusal_never_repeats_what_was_sent(app: FastAPI) -> None:
    answer = nobody(app).post("/api/v1/login", json={"name": ["<script>"], "password": 5, "more": "<img>"})
    assert answer.status_code == 422 and isinstance(answer.json()["detail"], str)
    assert "<script>" not in answer.text and "<img>" not in answer.text


def test_the_log_of_requests_holds_neither_searches_nor_secrets() -> None:
    for path, kept in (
        ("/api/v1/cases?text=Miller", "/api/v1/cases"),
        ("/login/once/abc-_9", "/login/once/…"),
        ("/login/once/abc?x=1", "/login/once/…"),
    ):
        args = ("127.0.0.1:1", "GET", path, "1.1", 200)
        record = logging.LogRecord("uvicorn.access", logging.INFO, "", 0, '%s - "%s %s HTTP/%s" %d', args, None)
        assert WithoutSecrets().filter(record)
        assert record.getMessage() == f'127.0.0.1:1 - "GET {kept} HTTP/1.1" 200'
