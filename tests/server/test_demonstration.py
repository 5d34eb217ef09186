"""The server's demonstration: something to outline and something to read, made once."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from casewise.archive import Archive
from casewise.demo import archive as demo
from casewise.demo.volumes import FLAIR
from casewise.errors import UsageError
from casewise.server.app import create_app
from casewise.server.demonstration import prepare
from casewise.server.jobs import Jobs
from casewise.server.logins import one_time_link
from casewise.server.store import Store


@pytest.fixture(autouse=True)
def fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_PICTURES", 2)
    monkeypatch.setattr(demo, "_LABELLED", 1)
    monkeypatch.setattr(demo, "_VOLUMES", (("FLAIR-a", FLAIR, 2),))


def test_there_is_something_to_outline_and_something_to_read(tmp_path: Path) -> None:
    prepare(tmp_path / "demo")
    with Archive.open(tmp_path / "demo") as archive:
        store = Store.open(archive.folder)
        with TestClient(create_app(archive, store), base_url="http://127.0.0.1:8080") as client:
            client.get(one_time_link(store, "http://127.0.0.1:8080"))
            sets = client.get("/api/v1/sets").json()
            assert [one["name"] for one in sets] == ["Brains", "Whole brains"]
            assert [one["structure"] for one in sets] == ["brain", "whole brain"]
            detail = client.get(f"/api/v1/sets/{sets[0]['id']}").json()
            assert detail["next"] is not None
            assert len(detail["images"]) == 2
            jobs = client.get("/api/v1/jobs").json()["jobs"]
            assert {(job["kind"], job["state"]) for job in jobs} == {("analyse", "waiting")}
            assert client.get("/api/v1/cases").json()["total"] == len(archive)
        store.close()


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    prepare(tmp_path / "demo")
    with Archive.open(tmp_path / "demo") as archive:
        before = [record.key for record in archive.images()]
    store = Store.open(tmp_path / "demo")
    jobs = len(Jobs(store).list())
    store.close()
    prepare(tmp_path / "demo")
    store = Store.open(tmp_path / "demo")
    with Archive.open(tmp_path / "demo") as archive, TestClient(create_app(archive, store), base_url="http://127.0.0.1") as client:
        client.get(one_time_link(store, "http://127.0.0.1"))
        assert [record.key for record in archive.images()] == before
        assert len(client.get("/api/v1/sets").json()) == 2
        assert len(client.get("/api/v1/jobs").json()["jobs"]) == jobs
    store.close()


def test_somebodys_archive_is_left_alone(tmp_path: Path) -> None:
    with Archive.open(tmp_path / "mine", create=True) as archive:
        from casewise.demo.sources import for_pages

        archive.add(for_pages()[0].path)
    with pytest.raises(UsageError, match="not the demonstration's"):
        prepare(tmp_path / "mine")
    assert not (tmp_path / "mine" / "demo-images").exists()
