"""Results of a job's cases are recorded some at a time, soon, and each once, also where the worker is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from casewise.archive import Archive
from casewise.pipeline import result_batches
from casewise.pipeline.result_batches import ResultBatches
from casewise.result import ModelUse, Result
from casewise.server.jobs import Jobs
from casewise.server.settings import Settings
from casewise.server.store import Store
from casewise.server.work import Work
from casewise.server.work.recording import Recording
from casewise.server.worker import Worker

KEYS = [f"{number:032x}" for number in range(400)]
FIRST_ROUND = """
import sys
from pathlib import Path
from tests.server.test_recording import worker
if __name__ == "__main__":
    worker(Path(sys.argv[1]), Path(sys.argv[2]), pause_at=300)
"""


def worker(folder: Path, notes: Path, pause_at: int | None = None) -> dict[str, int]:
    """Do the jobs of an archive with one whose cases cost some milliseconds each, and are noted in a file.

    pause_at : the case at which it waits to be killed: it must not finish before whoever kills it has looked, on a busy machine.
    """

    def analyse(work: Work) -> dict[str, object]:
        with Recording(work, False) as recording:
            had = recording.done(KEYS)
            for number, key in enumerate(KEYS):
                if number == pause_at:
                    time.sleep(600)
                if key not in had:
                    with notes.open("a") as lines:
                        lines.write(f"{key}\n")
                    time.sleep(0.005)
                    recording.result(key, Result("film.png", ModelUse("none"), notes=(key,)))
                    work.progress("Analysing", 0, len(KEYS))
        return {}

    store = Store.open(folder)
    with Archive.open(folder) as archive:
        done = Worker(archive, store, Settings(), kinds={"analyse": analyse}).run(once=True)
    store.close()
    return done


def test_a_killed_worker_loses_no_result_and_repeats_few(archive_folder: Path, tmp_path: Path) -> None:
    script, notes = tmp_path / "work.py", tmp_path / "notes"
    script.write_text(FIRST_ROUND)
    store = Store.open(archive_folder)
    number = Jobs(store).add("analyse", {"cases": KEYS})
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with Archive.open(archive_folder) as archive:
        process = subprocess.Popen([sys.executable, str(script), str(archive_folder), str(notes)], env=environment)
        until = time.monotonic() + 120
        while len(archive.results()) < 2 and time.monotonic() < until:
            time.sleep(0.02)
        process.kill()
        process.wait()
        there = len(archive.results())
        assert 2 <= there < len(KEYS)
        with store.write() as connection:  # its lease has run out
            connection.exec_driver_sql("UPDATE server_jobs SET lease_until = 0 WHERE state = 'running'")
        assert worker(archive_folder, notes) == {"done": 1}
        assert {key: len(archive.results(key)) for key in KEYS} == dict.fromkeys(KEYS, 1)
        assert all(archive.results(key)[0]["notes"] == [key] and archive.results(key)[0]["job"] == number for key in KEYS[:20])
    times = Counter(notes.read_text().split())
    assert len(times) == len(KEYS) and max(times.values()) <= 2
    assert sum(times.values()) - len(KEYS) <= len(KEYS) - there, "what was recorded is not analysed again"
    store.close()


def test_many_results_are_few_transactions_and_the_last_waits_for_nobody(
    archive_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    record = Archive.record_results
    monkeypatch.setattr(Archive, "record_results", lambda self, rows: written.append(len(rows)) or record(self, rows))
    numbers: dict[str, int] = {}
    with Archive.open(archive_folder) as archive, ResultBatches(archive) as batches:
        for key in KEYS:
            batches.add({"headline": key}, key, lambda number, key=key: numbers.__setitem__(key, number))
        until = time.monotonic() + 20 * result_batches.SECONDS
        while len(numbers) < len(KEYS) and time.monotonic() < until:
            time.sleep(0.05)
        assert [archive.results(key) for key in KEYS[-3:]] == [[{"headline": key}] for key in KEYS[-3:]], "nothing else came"
        assert sum(written) == len(KEYS) and written[0] == 1 and len(written) <= 12
        assert list(numbers.values()) == sorted(numbers.values())


def test_what_goes_wrong_while_nothing_comes_is_said(archive_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result_batches, "SECONDS", 0.1)

    def broken(number: int) -> None:
        raise RuntimeError("It cannot be sent.")

    with (
        Archive.open(archive_folder) as archive,
        pytest.raises(RuntimeError, match="cannot be sent"),
        ResultBatches(archive) as batches,
    ):
        batches.add({}, KEYS[0])
        batches.add({}, KEYS[1], broken)
        time.sleep(1)
    with Archive.open(archive_folder) as archive, pytest.raises(KeyError), ResultBatches(archive) as batches:
        batches.add({}, KEYS[2])
        batches.add({}, KEYS[3])
        raise KeyError
    with Archive.open(archive_folder) as archive:
        assert [len(archive.results(key)) for key in KEYS[:4]] == [1, 1, 1, 1]
