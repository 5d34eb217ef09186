"""OHIF's files below /ohif/, with a small stand-in for them; and the address that opens a case in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from casewise.archive import Archive
from casewise.server.app import create_app
from casewise.server.settings import Settings
from casewise.server.store import Store
from tests.dicom_studies import oblique_mr
from tests.server.people import in_browser, nobody, signed_in

INDEX = """<!doctype html><html><head><link rel="icon" href="/assets/favicon.ico"><script>window.PUBLIC_URL="/"</script>
<script rel="preload" src="/app-config.js"></script><script type="module" src="/init-service-worker.js"></script>
<script defer src="/app.bundle.0f6159c501addfe9.js"></script></head><body></body></html>"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "dist"
    folder.mkdir()
    (folder / "index.html").write_text(INDEX)
    (folder / "app.bundle.0f6159c501addfe9.js").write_text('a();__webpack_require__.p = "/";b("/");')
    (folder / "app.bundle.css").write_text("@font-face { src: url(/a34f9d1faa5f3315.woff2) }")
    (folder / "89.bundle.b327bf3664812958.js").write_text("1;")
    (tmp_path / "secret.txt").write_text("secret")
    return folder


@pytest.fixture
def app(tmp_path: Path, files: Path) -> Iterator[FastAPI]:
    yield from _served(tmp_path, Settings(ohif=files))


def _served(tmp_path: Path, settings: Settings) -> Iterator[FastAPI]:
    with Archive.open(tmp_path / "archive", create=True) as archive:
        store = Store.open(archive.folder)
        yield create_app(archive, store, settings)
        store.close()


def test_the_page_has_no_script_of_its_own_and_looks_below_its_path(app: FastAPI) -> None:
    browser = in_browser(app, "reader", "rita")
    for path in ("/ohif/", "/ohif/viewer?StudyInstanceUIDs=1.2"):
        page = browser.get(path)
        assert page.status_code == 200
        assert "<script>" not in page.text and "service-worker" not in page.text
        assert 'href="/ohif/assets/favicon.ico"' in page.text and 'src="/ohif/app.bundle.0f6159c501addfe9.js"' in page.text
        policy = page.headers["content-security-policy"]
        assert "script-src 'self' 'wasm-unsafe-eval' 'unsafe-eval';" in policy and "http" not in policy
    configuration = browser.get("/ohif/app-config.js").text
    assert "/dicomweb" in configuration and "://" not in configuration
    assert "eval" not in browser.get("/").headers["content-security-policy"]


def test_its_programs_look_for_their_parts_below_its_path(app: FastAPI) -> None:
    browser = in_browser(app, "reader", "rita")
    program = browser.get("/ohif/app.bundle.0f6159c501addfe9.js")
    assert program.text == 'a();__webpack_require__.p = "/ohif/";b("/");'
    assert (program.headers["content-encoding"], program.headers["vary"]) == ("gzip", "Accept-Encoding")
    plain = browser.get("/ohif/app.bundle.0f6159c501addfe9.js", headers={"accept-encoding": "identity"})
    assert plain.text == program.text and "content-encoding" not in plain.headers
    assert "url(/ohif/a34f9d1faa5f3315.woff2)" in browser.get("/ohif/app.bundle.css").text
    part = browser.get("/ohif/89.bundle.b327bf3664812958.js")
    assert part.text == "1;" and "immutable" in part.headers["cache-control"]


def test_nothing_outside_its_folder_is_sent(app: FastAPI) -> None:
    browser = in_browser(app, "reader", "rita")
    for path in (
        "..%2fsecret.txt",
        "%2e%2e/secret.txt",
        "assets/..%2f..%2fsecret.txt",
        "..%5csecret.txt",
        "%2fetc%2fpasswd",
        "no.js",
    ):
        answer = browser.get(f"/ohif/{path}")
        assert "secret" not in answer.text and "root:" not in answer.text
        assert answer.status_code in (200, 404)
    assert browser.get("/ohif/..%2fsecret.txt").status_code == 404


def test_whoever_has_not_signed_in_is_led_to_the_login_and_back(app: FastAPI) -> None:
    page = nobody(app).get("/ohif/viewer?StudyInstanceUIDs=1.2")
    assert page.status_code == 303
    assert page.headers["location"] == "/login?next=/ohif/viewer%3FStudyInstanceUIDs%3D1.2"
    assert nobody(app).get("/ohif/app.bundle.css").status_code == 401
    assert nobody(app).get("/cases/abc/ohif").headers["location"].startswith("/login")


def test_a_case_is_opened_on_its_very_study_and_series(app: FastAPI, tmp_path: Path) -> None:
    made = oblique_mr(tmp_path / "files", 3)
    archive: Archive = app.state.services.archive
    (key,) = archive.import_paths([tmp_path / "files"]).keys
    plain = archive.add(archive.case(key).image)  # its voxels, not as DICOM
    reader = signed_in(app, "reader", "rita")
    answer = reader.get(f"/cases/{key}/ohif")
    assert answer.status_code == 303
    assert answer.headers["location"] == (
        f"/ohif/viewer?StudyInstanceUIDs={made.study_uid}&initialSeriesInstanceUID={made.series_uid}"
    )
    assert reader.get(f"/cases/{plain}/ohif").status_code == 400
    assert reader.get("/cases/unknown/ohif").status_code == 404
    offered = {line["key"]: line["ohif"] for line in reader.get("/api/v1/cases").json()["cases"]}
    assert offered == {key: True, plain: False}
    for file in made.files:
        file.unlink()
    (other,) = archive.import_paths([oblique_mr(tmp_path / "other", 4).folder]).keys
    assert reader.get(f"/cases/{other}/ohif").status_code == 303


def test_without_ohif_its_address_says_how_to_get_it(tmp_path: Path) -> None:
    for app in _served(tmp_path, Settings(ohif=tmp_path / "nothing")):
        answer = in_browser(app).get("/ohif/")
        assert answer.status_code == 404
        assert "make ohif" in answer.text and "server.toml" in answer.text
