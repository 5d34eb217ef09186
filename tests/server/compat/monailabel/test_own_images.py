"""Images of clients' own beside the uploads of others, and what is left of them: over HTTP, in one archive."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from casewise.formats import write
from casewise.image import Image
from casewise.server import uploads
from casewise.server.spool import Spool
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


def sent(client: TestClient, data: bytes, **query: int) -> str:
    answer = client.put("/session/", files={"files": ("Doe-Jane.nii.gz", data)}, params=query)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["session_id"])


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
