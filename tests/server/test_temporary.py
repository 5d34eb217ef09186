"""Temporary folders with patients' images: they go with their block, with their process, or after it was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fastapi import FastAPI

from casewise.server import exports
from casewise.server.temporary import temporary_folder
from tests.server.people import nobody

_PROCESS = """
import sys
from pathlib import Path
from casewise.server.temporary import temporary_folder

with temporary_folder() as first:
    (Path(first) / "image.nii.gz").write_bytes(b"pixels")
second = temporary_folder()
(Path(second.name) / "image.nii.gz").write_bytes(b"pixels")
print(Path(first).exists(), second.name, flush=True)
sys.stdin.read()
"""


def process(place: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process that has a folder below ``place``, and the folder."""
    child = subprocess.Popen(
        [sys.executable, "-c", _PROCESS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(place)},
    )
    assert child.stdout is not None
    first_is_there, _, folder = child.stdout.readline().strip().partition(" ")
    assert first_is_there == "False" and Path(folder).is_dir()
    return child, Path(folder)


def test_they_go_with_the_process(tmp_path: Path) -> None:
    child, _ = process(tmp_path)
    child.communicate()
    assert child.returncode == 0 and not any(tmp_path.iterdir())


def test_those_of_killed_processes_are_removed_when_a_server_starts(
    app: FastAPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    (killed, left), (running, held) = process(place), process(place)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    for folder in (left, held):
        os.utime(folder.parent, (time.time() - 3600,) * 2)
    with nobody(app):
        assert not left.parent.exists() and held.is_dir()
    running.communicate()


def test_half_an_export_goes_when_a_server_starts(app: FastAPI) -> None:
    target = exports.place(app.state.services.archive.folder, 1)
    target.parent.mkdir(parents=True)
    target.touch()
    old, new = target.with_name(".part-0"), target.with_name(".part-1")
    for path, age in ((target, 7 * 86400), (old, 25 * 3600), (new, 60)):
        path.write_bytes(b"PK")
        os.utime(path, (time.time() - age,) * 2)
    with nobody(app):
        assert target.exists() and not old.exists() and new.exists()


def test_one_that_the_system_removed_is_made_again() -> None:
    with temporary_folder() as folder:
        own = Path(folder).parent
    own.rename(own.with_name(f"{own.name}-away"))
    with temporary_folder() as folder:
        assert Path(folder).is_dir() and Path(folder).parent != own
    own.with_name(f"{own.name}-away").rename(own)
