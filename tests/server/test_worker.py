"""Workers as processes: what becomes of jobs whose worker is killed, stopped, put to sleep, or asked to end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from casewise.archive import Archive
from casewise.server.jobs import Job, Jobs
from casewise.server.settings import Settings
from casewise.server.store import Store
from casewise.server.store import jobs as table
from casewise.server.worker import Worker
from tests.server import job_kinds
from tests.server.job_kinds import KINDS
from tests.waiting import until

LEASE = 1.5
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder


@pytest.fixture
def start(archive_folder: Path) -> Iterator[Start]:
    """Starts a worker in a process of its own."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(grace: float = 20.0) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", job_kinds.__name__, str(archive_folder), str(LEASE), str(grace)]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()


def ended(jobs: Jobs, number: int) -> Job:
    found: list[Job] = []

    def look() -> bool:
        job = jobs.get(number)
        assert job is not None
        found.append(job)
        return job.state not in ("waiting", "running")

    until(look)
    return found[-1]


@pytest.fixture
def here(archive_folder: Path, store: Store) -> Iterator[Worker]:
    """A worker in this process."""
    with Archive.open(archive_folder) as archive:
        yield Worker(archive, store, Settings(), kinds=KINDS)


def test_it_does_what_is_due_and_says_how_it_ended(here: Worker, store: Store, notes: Path) -> None:
    jobs = Jobs(store)
    payload = {"notes": str(notes)}
    numbers = {kind: jobs.add(kind, payload) for kind in ("short", "refused", "broken", "unwritable", "unheard-of")}
    assert here.run(once=True) == {"done": 1, "failed": 2, "put back": 2}
    job = {kind: jobs.get(number) for kind, number in numbers.items()}
    assert all(job.values())
    short, refused, broken, unheard = (job[kind] for kind in ("short", "refused", "broken", "unheard-of"))
    assert short and (short.state, short.result, short.error, short.tries) == ("done", {"counted": 3}, None, 1)
    assert refused and (refused.state, refused.error) == (
        "failed",
        "There is no application of the name x; `casewise applications` lists them.",
    )
    assert unheard and unheard.state == "failed" and "unheard-of" in str(unheard.error)
    assert broken and broken.state == "waiting" and "ValueError in job_kinds.py" in str(broken.error)
    assert "Doe" not in str(broken.error)
    assert jobs.workers() == []


def test_a_job_that_is_stopped_ends_at_its_next_step(start: Start, store: Store, notes: Path) -> None:
    jobs = Jobs(store)
    number = jobs.add("steady", {"notes": str(notes)})
    start()
    until(lambda: "unit" in job_kinds.notes(notes, number))
    assert len(jobs.workers()) == 1
    jobs.stop(number)
    assert ended(jobs, number).state == "stopped"
    assert ended(jobs, jobs.add("short", {"notes": str(notes)})).state == "done"  # the same worker goes on


def test_a_job_that_hears_nothing_is_stopped_with_its_process(start: Start, store: Store, notes: Path) -> None:
    jobs = Jobs(store)
    number = jobs.add("deaf", {"notes": str(notes)})
    process = start(grace=0.5)
    until(lambda: job_kinds.notes(notes, number))
    jobs.stop(number)
    assert process.wait(120) == 1
    assert ended(jobs, number).state == "stopped"
    assert job_kinds.notes(notes, number) == ["began"]


@pytest.mark.parametrize("how", ["terminate", "parent gone"])
def test_one_that_is_to_end_finishes_the_unit_and_gives_the_job_back(start: Start, store: Store, notes: Path, how: str) -> None:
    jobs = Jobs(store)
    number = jobs.add("steady", {"notes": str(notes)})
    process = start()
    until(lambda: "unit" in job_kinds.notes(notes, number))
    if how == "terminate":
        process.terminate()
    else:
        assert process.stdin is not None
        process.stdin.close()
    assert process.wait(120) == 0
    job = jobs.get(number)
    assert job is not None and (job.state, job.tries) == ("waiting", 0)
    assert jobs.workers() == []


def test_a_killed_worker_s_job_is_done_by_another(start: Start, store: Store, notes: Path) -> None:
    jobs = Jobs(store)
    number = jobs.add("steady", {"notes": str(notes)})
    first = start()
    until(lambda: "unit" in job_kinds.notes(notes, number))
    first.kill()
    second = start()
    until(lambda: second.pid in job_kinds.processes(notes, number))
    job = jobs.get(number)
    assert job is not None and (job.state, job.tries) == ("running", 2)


def test_poison_ends_dead_with_a_reason_and_the_rest_is_done(start: Start, store: Store, notes: Path) -> None:
    jobs = Jobs(store)
    bad, good = (jobs.add(kind, {"notes": str(notes)}) for kind in ("poison", "short"))
    for _ in range(3):
        assert start().wait(60) == -signal.SIGKILL
        with store.write() as connection:  # its lease has run out
            connection.exec_driver_sql("UPDATE server_jobs SET lease_until = 0 WHERE state = 'running'")
    start()
    assert ended(jobs, good).state == "done"
    dead = ended(jobs, bad)
    assert (dead.state, dead.tries) == ("dead", 3) and "died 3 times" in str(dead.error)
    assert job_kinds.notes(notes, bad) == ["began"] * 3


def put_to_sleep(process: subprocess.Popen[bytes], store: Store, number: int) -> None:
    """Between two of its transactions: one that sleeps in the middle of one holds up the others as long as the database lets it."""
    row = sa.select(table.c.id).where(table.c.id == number).with_for_update(skip_locked=True)
    while True:
        os.kill(process.pid, signal.SIGSTOP)
        with contextlib.suppress(sa.exc.OperationalError), store.write() as connection:
            if connection.scalar(row) is not None:
                return
        os.kill(process.pid, signal.SIGCONT)
        time.sleep(0.1)


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="processes cannot be put to sleep here")
def test_a_worker_that_slept_through_its_lease_leaves_the_job_to_the_other(start: Start, store: Store, notes: Path) -> None:
    jobs = Jobs(store)
    number = jobs.add("steady", {"notes": str(notes)})
    first = start()
    until(lambda: "unit" in job_kinds.notes(notes, number))
    put_to_sleep(first, store, number)
    second = start()
    until(lambda: second.pid in job_kinds.processes(notes, number))
    os.kill(first.pid, signal.SIGCONT)
    later = jobs.add("short", {"notes": str(notes)})  # the first takes it once it has let go of the other
    assert ended(jobs, later).state == "done"
    assert job_kinds.processes(notes, later) == [first.pid] * 2
    job = jobs.get(number)
    assert job is not None and (job.state, job.tries) == ("running", 2)
    until(lambda: job_kinds.processes(notes, number)[-1] == second.pid)


def test_a_worker_stands_back_for_others(start: Start, store: Store) -> None:
    process = start()
    until(lambda: Jobs(store).workers())
    assert psutil.Process(process.pid).nice() > psutil.Process().nice()
