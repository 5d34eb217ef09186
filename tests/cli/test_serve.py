"""``casewise serve`` and ``casewise work``: what they print, and what stops them before they begin."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from casewise.archive import Archive
from casewise.cli import serve
from casewise.server import pages
from casewise.server.jobs import Jobs
from casewise.server.store import Store
from tests.cli.conftest import Call


@pytest.mark.parametrize("command", ["serve", "work"])
def test_no_archive(command: str, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page.js").touch()
    monkeypatch.setattr(pages, "STATIC", tmp_path)
    done = call(command, str(tmp_path / "none"))
    assert (done.code, done.out) == (2, "") and "no archive at" in done.sentence
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("command", ["serve", "work"])
def test_without_the_extra_packages(command: str, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(serve, "find_spec", lambda name: None if name == "fastapi" else find(name))
    done = call(command, str(tmp_path))
    assert done.code == 2 and "fastapi" in done.sentence and "pip install 'casewise[server]'" in done.sentence


def test_receiving_without_its_packages(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(serve, "find_spec", lambda name: None if name == "pynetdicom" else find(name))
    done = call("serve", str(tmp_path), "--dicom-port", "0")
    assert done.code == 2 and "--dicom-port` needs more packages (pynetdicom)" in done.sentence


def test_work_until_nothing_is_due(spawn: Call, tmp_path: Path) -> None:
    Archive.open(tmp_path / "a", create=True).close()
    store = Store.open(tmp_path / "a")
    number = Jobs(store).add("unheard-of", {})
    done = spawn("work", str(tmp_path / "a"), "--once", "--json")
    assert (done.code, done.document) == (0, {"failed": 1})
    job = Jobs(store).get(number)
    store.close()
    assert job is not None and "unheard-of" in str(job.error)
    assert spawn("work", str(tmp_path / "a"), "--once").out == "0 jobs.\n"
