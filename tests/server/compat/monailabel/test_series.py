"""Images found by the UID of their series, whose files may be away or half there when they are asked for first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydicom import dcmread

from casewise.archive import Archive
from casewise.server.app import create_app
from casewise.server.store import Store
from casewise.server.store import series as table
from tests.server.compat.monailabel import scenes
from tests.server.people import signed_in

_TAG = b"\x20\x00\x0e\x00UI"  # SeriesInstanceUID, explicit and little-endian


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Those of a series, which the archive reads where they lie."""
    return sorted(path for path in scenes.series(tmp_path, downwards=False).path.iterdir() if path.is_file())


@pytest.fixture
def uid(files: list[Path]) -> str:
    return str(dcmread(files[0]).SeriesInstanceUID)


@pytest.fixture
def ohif(app: FastAPI, files: list[Path]) -> Iterator[TestClient]:
    report = app.state.services.archive.import_paths([files[0].parent])
    assert report.added == 1
    with signed_in(app, "annotator") as client:
        yield client


def asked(client: TestClient, uid: str) -> int:
    return client.get("/datastore/image/info", params={"image": uid}).status_code


def test_a_series_whose_drive_was_away_is_found_once_it_is_there(ohif: TestClient, files: list[Path], uid: str) -> None:
    away = files[0].parent.rename(files[0].parent.with_name("away"))
    assert asked(ohif, uid) == 404
    away.rename(files[0].parent)
    assert asked(ohif, uid) == 200


def test_a_half_copied_file_is_no_other_series(ohif: TestClient, files: list[Path], uid: str) -> None:
    whole = {path: path.read_bytes() for path in files}
    starts = {path: data.index(uid.encode(), data.index(_TAG)) for path, data in whole.items()}
    for more in (-6, -3, 0, 1, len(uid) // 2, len(uid) - 1):  # within the tag, its length, and its value
        for path, data in whole.items():
            path.write_bytes(data[: starts[path] + more])
        assert asked(ohif, uid) == 404 and (more < 4 or asked(ohif, uid[:more]) == 404)
    for path, data in whole.items():
        path.write_bytes(data)
    assert asked(ohif, uid) == 200


def test_what_an_earlier_version_could_not_read_is_tried_again(app: FastAPI, ohif: TestClient, uid: str) -> None:
    shared = app.state.services
    (case,) = shared.archive.cases()
    with shared.store.write() as connection:
        connection.execute(sa.insert(table).values(image_key=case.key, uid=""))
    assert asked(ohif, uid) == 200


def test_unreadable_files_hide_none_of_those_after_them(archive_folder: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """Also on PostgreSQL. Few at once, so that they are asked for several times."""
    monkeypatch.setattr("casewise.server.compat.monailabel.series._AT_ONCE", 1)
    places = [scenes.series(tmp_path / str(down), bool(down)).path for down in range(2)]
    with Archive.open(archive_folder) as archive:
        store = Store.open(archive_folder)
        archive.import_paths(places)
        uids = [str(dcmread(sorted(place.iterdir())[0]).SeriesInstanceUID) for place in places]
        client = signed_in(create_app(archive, store), "annotator")
        away = [place.rename(tmp_path / f"away {number}") for number, place in enumerate(places)]
        assert [asked(client, uid) for uid in uids] == [404, 404]
        away[1].rename(places[1])
        assert [asked(client, uid) for uid in uids] == [404, 200]
        away[0].rename(places[0])
        assert [asked(client, uid) for uid in uids] == [200, 200]
        store.close()
