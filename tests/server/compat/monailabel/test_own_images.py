"""Images of clients' own beside the uploads of others, and what is left of them: over HTTP, in one archive."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.testclient import TestClient

from benchmarks._serving import serving
from casewise.archive import Archive
from casewise.formats import write
from casewise.image import Image
from casewise.server import uploads
from casewise.server.spool import Spool
from casewise.server.store import Store
from casewise.server.store import sessions as table
from tests.server.people import signed_in


@pytest.fixture
def slicer(app: FastAPI) -> Iterator[TestClient]:
    with signed_in(app, "annotator") as client:
        yield client


@pytest.fixture
def volume(tmp_path: Path) -> bytes:
    voxels = np.random.default_rng(0).integers(0, 200, (32, 32, 3)).astype(np.int16)
    voxels[8:20, 8:20] += 300
    return write(tmp_path / "volume.nii.gz", Image(voxels[None], np.eye(4))).read_bytes()


def sent(client: httpx.Client, data: bytes, **query: int) -> str:
    answer = client.put("/session/", files={"files": ("Doe-Jane.nii.gz", data)}, params=query)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["session_id"])


def clicked(client: httpx.Client, places: list[list[int]], **where: Any) -> httpx.Response:
    """The answer to clicks on a session's image, or on a file that comes with them."""
    params = json.dumps({"label": "box", "foreground": places})
    session = {"session_id": where["session"]} if "session" in where else {}
    files = {"file": ("Doe-Jane.nii.gz", where["file"])} if "file" in where else {}
    return client.post("/infer/casewise-clicks", params={"output": "json", **session}, data={"params": params}, files=files)


def left(folder: Path) -> list[str]:
    """What of clients' images lies beside an archive."""
    places = (folder / "server" / name for name in ("uploads", "sessions"))
    return sorted(path.name for place in places for path in place.rglob("*") if path.is_file())


def rows(folder: Path) -> int:
    with closing(Store.open(folder)) as store, store.read() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def aged(folder: Path, seconds: float) -> None:
    """Let time pass for a folder."""
    os.utime(folder, (time.time() - seconds,) * 2)


def unused(place: Path, seconds: float) -> None:
    """Let time pass for a session's image."""
    about = json.loads((place / "about.json").read_text())
    (place / "about.json").write_text(json.dumps(about | {"last_access_ts": about["last_access_ts"] - seconds}))


def test_a_new_session_leaves_the_uploads_that_wait_for_their_import(app: FastAPI, slicer: TestClient, volume: bytes) -> None:
    archive = app.state.services.archive
    spool = Spool.new(archive.folder)
    with spool.open("a/scan.nii.gz") as file:
        file.write(volume)
    aged(spool.folder, 3600)
    sent(slicer, volume)
    found = Spool.found(archive.folder, spool.identity)
    during = []

    def at_work(*step: object) -> None:
        """Somebody begins a session at each step of the import."""
        if found.folder.exists():
            aged(found.folder, 3600)
        during.append(sent(slicer, volume))

    taken = uploads.take_in(archive, found, progress=at_work)
    assert (taken.added, taken.failed) == (1, []) and during
    assert not found.folder.exists()


def test_a_new_session_removes_the_sessions_that_have_expired_alone(app: FastAPI, slicer: TestClient, volume: bytes) -> None:
    folder = app.state.services.archive.folder / "server" / "uploads"
    gone, kept = sent(slicer, volume, expiry=60), sent(slicer, volume, expiry=600)
    unused(folder / gone, 60)
    packing, given_up = (folder / f"0000000{n}-0000-0000-0000-000000000000" for n in range(2))
    for place, age in ((packing, 3600), (given_up, 25 * 3600)):  # a large zip takes its time
        (place / "files").mkdir(parents=True)
        aged(place, age)
    new = sent(slicer, volume)
    assert {place.name for place in folder.iterdir()} == {kept, new, packing.name}
    assert slicer.get(f"/session/{gone}").status_code == 404
    assert slicer.get(f"/session/{kept}").status_code == 200 and not given_up.exists()


FIRST, SECOND = [12, 12, 1], [14, 15, 1]


def test_with_a_session_goes_all_that_was_made_of_its_image(app: FastAPI, slicer: TestClient, volume: bytes) -> None:
    folder = app.state.services.archive.folder
    session, other = sent(slicer, volume), sent(slicer, volume)
    for one in (session, other):
        answer = clicked(slicer, [FIRST], session=one)
        assert answer.status_code == 200, answer.text
    assert left(folder).count("image.npz") == 2
    assert slicer.delete(f"/session/{session}").status_code == 200
    assert left(folder).count("image.npz") == left(folder).count("Doe-Jane.nii.gz") == 1
    assert clicked(slicer, [FIRST, SECOND], session=other).json()["strokes"] == 2
    assert clicked(slicer, [FIRST], session=session).status_code == 404
    unused(folder / "server" / "uploads" / other, 13 * 3600)
    with slicer:  # the server starts
        assert left(folder) == [] and rows(folder) == 0
        assert not app.state.services.sessions._held


def test_a_session_that_ends_while_its_image_is_worked_on_leaves_nothing(app: FastAPI, slicer: TestClient, volume: bytes) -> None:
    folder = app.state.services.archive.folder
    session = sent(slicer, volume)
    app.state.services.sessions.on_round = lambda _: shutil.rmtree(folder / "server" / "uploads" / session)
    answer = clicked(slicer, [FIRST], session=session)
    assert answer.status_code == 404 and "load the image again" in answer.json()["detail"]
    assert left(folder) == [] and rows(folder) == 0


def test_a_killed_server_goes_on_with_a_clients_image_and_removes_it_when_it_has_expired(tmp_path: Path, volume: bytes) -> None:
    folder = tmp_path / "archive"
    Archive.open(folder, create=True).close()
    with serving(folder) as server, server.client() as client:
        session = sent(client, volume)
        assert clicked(client, [FIRST], session=session).json()["strokes"] == 1
        assert clicked(client, [FIRST], file=volume).status_code == 200
        half = folder / "server" / "uploads" / "00000000-0000-0000-0000-000000000000" / "files"
        half.mkdir(parents=True)
        (half / "Doe-Jane.nii.gz").write_bytes(volume[:100])
        os.kill(server.child.pid, signal.SIGKILL)
        server.child.wait(120)
    with serving(folder) as server, server.client() as client:
        assert clicked(client, [FIRST, SECOND], session=session).json()["strokes"] == 2
        assert clicked(client, [FIRST, SECOND], file=volume).json()["strokes"] == 2
        assert left(folder).count("image.npz") == 2 and not half.exists()
        os.kill(server.child.pid, signal.SIGKILL)
        server.child.wait(120)
    unused(folder / "server" / "uploads" / session, 13 * 3600)
    with closing(Store.open(folder)) as store, store.write() as connection:
        connection.execute(sa.update(table).values(seen=table.c.seen - 13 * 3600))
    with serving(folder) as server, server.client() as client:
        assert client.get(f"/session/{session}").status_code == 404
        assert left(folder) == [] and rows(folder) == 0


def test_a_damaged_copy_lets_the_client_begin_anew(app: FastAPI, slicer: TestClient, volume: bytes) -> None:
    folder, sessions = app.state.services.archive.folder, app.state.services.sessions
    session = sent(slicer, volume)
    clicked(slicer, [FIRST], session=session)
    (copy,) = (folder / "server" / "sessions").rglob("image.npz")
    copy.write_bytes(b"PK\x03\x04 nothing")
    sessions._held.clear()
    answer = clicked(slicer, [FIRST, SECOND], session=session)
    assert answer.status_code == 200 and rows(folder) == 1
    assert left(folder).count("image.npz") == 1 and not copy.exists()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_zip_is_the_senders_fault(app: FastAPI, slicer: TestClient, volume: bytes, method: int) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        archive.writestr("scan.nii.gz", volume)
    whole = packed.getvalue()
    for place in (*range(0, 120, 7), *range(len(whole) - 120, len(whole), 7)):
        data = whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :]
        answer = slicer.put("/session/", files={"files": ("a.zip", data)}, params={"uncompress": True})
        assert answer.status_code in (200, 400), (place, answer.text)


def test_uploads_that_broke_off_are_removed_when_a_server_starts(app: FastAPI, slicer: TestClient, volume: bytes) -> None:
    spools = [Spool.new(app.state.services.archive.folder) for _ in range(3)]
    for spool in spools:
        with spool.open("scan.nii.gz") as file:
            file.write(volume)
    for spool in spools[:2]:
        aged(spool.folder, 25 * 3600)
    app.state.services.jobs.add("import", {"upload": spools[1].identity, "title": "Import 1 file"})
    with slicer:
        assert [spool.folder.exists() for spool in spools] == [False, True, True]
