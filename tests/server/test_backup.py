"""A copy of the archive's folder is a backup: sets, sessions, masks and users are there when it is put back."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
from fastapi.testclient import TestClient

from casewise.archive import Archive
from casewise.image import Image
from casewise.server import users
from casewise.server.app import create_app
from casewise.server.store import Store

HERE = "http://127.0.0.1"
PASSWORD = {"name": "anna", "password": "a long enough password"}


def test_what_was_copied_is_put_back(tmp_path: Path) -> None:
    folder, backup = tmp_path / "archive", tmp_path / "backup"
    picture = np.random.default_rng(0).normal(100, 10, (60, 50))
    picture[20:40, 15:35] += 200
    with Archive.open(folder, create=True) as archive:
        keys = [archive.add(Image((picture + number)[None].astype(np.float32))) for number in range(2)]
        store = Store.open(folder)
        users.save(store, "anna", "admin", password=PASSWORD["password"])
        with signed_in(archive, store) as client:
            made = client.post("/api/v1/sets", json={"name": "squares", "structure": "square", "strategy": "first"})
            number = made.json()["id"]
            first = drawn(client, keys[0], number)
            client.post(f"/api/v1/sessions/{first['id']}/accept", json={}).raise_for_status()
            open_one = drawn(client, keys[1], number)
            state = client.get("/api/v1/server").json()
            assert (state["sessions"], state["images_cached"]) == (2, 2 * picture.size * 4)
        store.close()

    subprocess.run(["cp", "--archive", folder, backup], check=True)
    shutil.rmtree(folder)
    shutil.copytree(backup, folder)

    with Archive.open(folder) as archive:
        store = Store.open(folder)
        with signed_in(archive, store) as client:
            assert archive.case(keys[0]).load_masks["square"]().any()
            assert client.get(f"/api/v1/sets/{number}").json()["counts"]["accepted"] == 1
            again = client.get(f"/api/v1/sessions/{open_one['id']}").json()
            assert again["objects"][0]["mask"] == open_one["objects"][0]["mask"]
            assert again["objects"][0]["round"] == open_one["objects"][0]["round"]
        store.close()


def signed_in(archive: Archive, store: Store) -> TestClient:
    client = TestClient(create_app(archive, store), base_url=HERE, headers={"Origin": HERE, "X-Casewise": "1"})
    client.post("/api/v1/login", json=PASSWORD).raise_for_status()
    return client


def drawn(client: TestClient, key: str, number: int) -> dict:  # type: ignore[type-arg]
    """A session with a box and a stroke."""
    order = {"case": key, "structure": "square", "set": number, "box": [[15, 45], [10, 40]], "begin": "empty"}
    session = client.post("/api/v1/sessions", json=order).json()
    stroke = {"after": session["objects"][0]["round"], "foreground": [[30 * 50 + 20, 8]]}
    client.post(f"/api/v1/sessions/{session['id']}/strokes", json=stroke).raise_for_status()
    found: dict = client.get(f"/api/v1/sessions/{session['id']}").json()  # type: ignore[type-arg]
    assert found["objects"][0]["voxels"] > 100
    return found
