"""Names that are paths, numbers that are too large, markup in names: refused or displayed as they are, and never obeyed."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient
from PIL import Image as Pillow

from casewise.archive import Archive
from casewise.formats import write
from casewise.image import Image
from casewise.server import audit
from casewise.server.app import create_app
from casewise.server.settings import Settings
from casewise.server.store import Store
from tests.server.people import signed_in

MARKUP = "<img src=x onerror=alert(1)>"
SECRET = "the catalogue's own file"
# As they stand in an address.
HOSTILE = (
    "..",
    "%2e%2e%2fsecret.txt",
    "..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
    "..%5c..%5csecret.txt",
    "%2fetc%2fpasswd",
    "secret.txt",
    "secret.txt%00.png",
    "%0d%0aSet-Cookie:%20a=b",
    "x" * 5000,
    "%ff%fe%F0%9F%A9%BB",
    "-1",
    "9" * 30,
    "%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E",
    "'%20OR%201=1--",
)
FILE_NAMES = (
    "../../escaped.png",
    "/tmp/escaped.png",
    "..\\..\\escaped.png",
    "a/../../../escaped.png",
    "C:\\escaped.png",
    "escaped\x00.png",
    "e" * 300 + ".png",
    "‮gnp.escaped",
    f"{MARKUP}.png",
    ".",
    "..",
    "",
    "CON",
    "escaped.png/",
)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """One picture, whose file and mask have names that are markup; beside the archive and in it, a file that nobody may read."""
    for folder in (tmp_path, tmp_path / "archive"):
        folder.mkdir(exist_ok=True)
    with Archive.open(tmp_path / "archive", create=True) as opened:
        (tmp_path / "secret.txt").write_text(SECRET)
        (tmp_path / "archive" / "secret.txt").write_text(SECRET)
        path = tmp_path / "picture.png"
        write(path, Image(np.zeros((1, 12, 12), np.uint8)))
        opened.add(path, {MARKUP: np.eye(12, dtype=bool)}, category=MARKUP, site=MARKUP, subject=MARKUP, name=f"{MARKUP}.png")
        yield opened


@pytest.fixture
def app(archive: Archive) -> Iterator[FastAPI]:
    store = Store.open(archive.folder)
    yield create_app(archive, store, Settings(requests_per_second=1_000_000))
    store.close()


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with signed_in(app) as opened:
        yield opened


def test_no_name_in_a_path_leads_to_a_file_or_an_error_of_the_server(app: FastAPI, client: TestClient, archive: Archive) -> None:
    key = archive.images()[0].key
    problems = []
    for context in iter_route_contexts(app.routes):
        parameters = re.findall(r"\{[a-z_:]+\}", context.path)
        for parameter in parameters:
            for value in HOSTILE:
                path = context.path.replace(parameter, value)
                path = re.sub(r"\{[a-z_:]+\}", lambda found: key if "key" in found[0] else "1", path)
                for method in context.methods:
                    answer = client.request(method, path)
                    if answer.status_code >= 500:
                        problems.append((method, path[:120], answer.status_code))
                    if SECRET in answer.text or "root:" in answer.text or "a=b" in answer.headers.get("set-cookie", ""):
                        problems.append((method, path[:120], "gave a file away"))
                    if MARKUP in answer.text and "json" not in answer.headers["content-type"]:
                        problems.append((method, path[:120], "reflected markup"))
    assert problems == []


def test_no_name_in_a_query_does_either(app: FastAPI, client: TestClient) -> None:
    asked = {
        "/api/v1/cases": ("text", "category", "site", "finding", "state", "after", "limit", "order"),
        "/api/v1/audit": ("user", "action", "object", "after", "limit"),
        "/api/v1/jobs": ("state", "kind", "after", "limit"),
        "/datastore/image": ("image",),
        "/datastore/label": ("label", "tag"),
        "/datastore/image/info": ("image",),
        "/login": ("next",),
        "/login/oidc/back": ("code", "state", "error"),
    }
    problems = []
    for path, names in asked.items():
        for name in names:
            for value in HOSTILE:
                answer = client.get(f"{path}?{name}={value}")
                if answer.status_code >= 500 or SECRET in answer.text:
                    problems.append((path, name, value[:60], answer.status_code))
    assert problems == []


@pytest.mark.parametrize("name", FILE_NAMES, ids=lambda name: repr(name)[:30])
def test_no_name_of_an_upload_becomes_a_path(client: TestClient, archive: Archive, tmp_path: Path, name: str) -> None:
    outside = {path for path in tmp_path.rglob("*") if archive.folder not in path.parents}
    sent = io.BytesIO()
    Pillow.fromarray(np.arange(144, dtype=np.uint8).reshape(12, 12)).save(sent, "PNG")
    boundary = b"--between\r\n"
    part = b'Content-Disposition: form-data; name="files"; filename="' + name.encode() + b'"\r\nContent-Type: image/png\r\n\r\n'
    body = boundary + part + sent.getvalue() + b"\r\n--between--\r\n"
    answer = client.post("/api/v1/cases", content=body, headers={"Content-Type": "multipart/form-data; boundary=between"})
    assert answer.status_code < 500, answer.text
    for address, query in (("/datastore/image", {"image": name}), ("/datastore/", {"image": name}), ("/session/", {})):
        file = {"file": (name, sent.getvalue(), "image/png")}
        assert client.put(address, params=query, files=file).status_code < 500
    assert {path for path in tmp_path.rglob("*") if archive.folder not in path.parents} == outside
    assert not Path("/tmp/escaped.png").exists()
    assert not [path for path in archive.folder.rglob("*") if "onerror" in path.name]


def test_markup_in_names_is_data(app: FastAPI, client: TestClient, archive: Archive) -> None:
    key = archive.images()[0].key
    client.post("/api/v1/sets", json={"name": MARKUP, "structure": MARKUP, "cases": [key]})
    client.post("/api/v1/tokens", json={"note": MARKUP})
    client.post("/api/v1/jobs", json={"cases": [key], "application": MARKUP})
    audit.record(app.state.services.store, MARKUP, MARKUP, MARKUP, MARKUP)
    seen = 0
    for path in ("cases", f"cases/{key}", "sets", "sets/1", "tokens", "jobs", "audit", "models", "verdicts", "users"):
        answer = client.get(f"/api/v1/{path}")
        assert answer.headers["content-type"] == "application/json", path
        assert answer.headers["x-content-type-options"] == "nosniff"
        seen += MARKUP in answer.text
    assert seen >= 6
    for path in ("/", f"/cases/{key}", "/sets/1", "/jobs", "/admin", "/login", "/logs/", "/info/", "/datastore/"):
        answer = client.get(path)
        assert MARKUP not in answer.text or answer.headers["content-type"].startswith("application/json"), path


def test_lone_surrogates_and_zeros_in_texts_are_refused_or_kept_and_never_break_an_answer(client: TestClient) -> None:
    for text in (r"\ud800", r"\u0000", r"\udfff\ud800", r"‮", r"﻿"):
        for path, body in (
            ("tokens", f'{{"note": "{text}"}}'),
            ("sets", f'{{"name": "a{text}", "structure": "b{text}", "cases": []}}'),
            ("login", f'{{"name": "{text}", "password": "{text}"}}'),
            ("sessions", f'{{"case": "{text}", "structure": "{text}"}}'),
        ):
            answer = client.post(f"/api/v1/{path}", content=body.encode(), headers={"Content-Type": "application/json"})
            assert answer.status_code < 500, (path, text)
            assert answer.status_code == 422 or not text.startswith("\\u"), (path, text)
    for path in ("tokens", "sets", "audit", "jobs"):
        assert client.get(f"/api/v1/{path}").status_code == 200


@pytest.mark.parametrize("body", [b"{", b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe", b"null", b"1e999", b'{"note": NaN}', b""])
def test_bodies_that_are_no_documents_are_refused(client: TestClient, body: bytes) -> None:
    for path in ("tokens", "sets", "jobs", "sessions", "login", "models/train"):
        answer = client.post(f"/api/v1/{path}", content=body, headers={"Content-Type": "application/json"})
        assert 400 <= answer.status_code < 500, (path, body[:20], answer.status_code)
