"""Importers that are killed, and importers that work at once."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from casewise.archive import Archive
from casewise.archive.ingest import importing
from tests.image_trees import MeanEncoder, mask, paired, snapshot, volume

if not hasattr(os, "fork"):
    pytest.skip("processes are forked here", allow_module_level=True)

_FORK = multiprocessing.get_context("fork")
_KILLS = 20


def _import(archive: Path, folders: Sequence[Path], copy: bool, batch: int) -> None:
    importing._BATCH = batch
    with Archive.open(archive, create=True) as opened:
        opened.import_paths(folders, copy=copy, encoder=MeanEncoder())


def _data(folder: Path) -> Path:
    paired(folder / "chest", 30)
    for number in range(4):
        for sequence in ("T1", "FLAIR"):
            volume(folder / "brain" / f"subject_{number}" / f"{sequence}.nii.gz", 100 + number + (10 if sequence == "T1" else 0))
        mask(folder / "brain" / f"subject_{number}" / "gt.nii.gz", (1, 2))
    (folder / "notes.txt").write_text("none")
    (folder / "chest" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder


def _check_vectors(archive: Archive) -> None:
    keys, rows, base = archive.vectors(MeanEncoder())
    assert len(set(rows.tolist())) == len(keys) == len(archive)
    for key, row in zip(keys, rows, strict=True):
        assert np.allclose(base[row], MeanEncoder().encode([archive.case(key).image])[0])


@pytest.mark.parametrize("copy", [False, True], ids=["in place", "copied"])
def test_killed_at_random_moments_ends_in_the_same_archive(tmp_path: Path, copy: bool) -> None:
    data = _data(tmp_path / "data")
    began = time.monotonic()
    whole = _FORK.Process(target=_import, args=(tmp_path / "whole", [data], copy, 3))
    whole.start()
    whole.join()
    needed = time.monotonic() - began
    with Archive.open(tmp_path / "whole") as archive:
        expected = snapshot(archive)
        _check_vectors(archive)
    chance, killed, attempt = random.Random(0), 0, 0
    while killed < _KILLS // 2:
        attempt += 1
        place = tmp_path / f"killed-{attempt}"
        while True:
            process = _FORK.Process(target=_import, args=(place, [data], copy, 3))
            process.start()
            process.join(chance.uniform(0.0, 0.6) * needed)
            if process.exitcode is None:
                os.kill(process.pid or 0, signal.SIGKILL)
                process.join()
                killed += 1
                if (place / "casewise.toml").exists():
                    with Archive.open(place) as archive:
                        seen = snapshot(archive)
                    # Nothing that was committed is ever wrong or half there.
                    assert seen["images"].items() <= expected["images"].items()
                    assert seen["vectors"] == len(seen["images"])
            else:
                assert process.exitcode == 0
                break
        with Archive.open(place) as archive:
            assert snapshot(archive) == expected
            _check_vectors(archive)
        assert not list(place.rglob(".writing-*")) or copy


def test_eight_processes_at_once_end_in_the_right_archive(tmp_path: Path) -> None:
    same = paired(tmp_path / "data" / "same", 12)
    parts = [paired(tmp_path / "data" / f"part{number}", 6, first_seed=100 * number) for number in range(1, 5)]
    with Archive.open(tmp_path / "alone", create=True) as archive:
        for folder in (same, *parts):
            archive.import_paths([folder], encoder=MeanEncoder())
        expected = snapshot(archive)
    tasks = [[same], [same], [same], [same, parts[0]], [parts[0]], [parts[1], same], [parts[2]], [parts[3], parts[1]]]
    processes = [_FORK.Process(target=_import, args=(tmp_path / "together", folders, False, 4)) for folders in tasks]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 8
    with Archive.open(tmp_path / "together") as archive:
        assert snapshot(archive) == expected
        _check_vectors(archive)
        assert archive.import_paths([tmp_path / "data"]).added == 0


def test_ctrl_c_keeps_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = paired(tmp_path / "chest", 20)
    monkeypatch.setattr(importing, "_BATCH", 2)

    def stop(step: str, done: int, total: int | None) -> None:
        if done >= 10:
            raise KeyboardInterrupt

    with Archive.open(tmp_path / "archive", create=True) as archive:
        with pytest.raises(KeyboardInterrupt):
            archive.import_paths([data], progress=stop)
        kept = len(archive)
        assert 0 < kept < 20
        report = archive.import_paths([data])
        assert (report.added, report.known) == (20 - kept, kept)
