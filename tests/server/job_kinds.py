"""Kinds of job for tests, and a worker of them: ``python -m tests.server.job_kinds ARCHIVE LEASE``.

Each kind notes in the payload's folder ``notes`` when it begins, and when it is through.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from pathlib import Path

from casewise.errors import UsageError
from casewise.server.work import Work
from casewise.server.worker import work as do_work


def note(work: Work, what: str) -> None:
    with (Path(work.payload["notes"]) / f"{work.job.id}.txt").open("a") as file:
        file.write(f"{what} {os.getpid()}\n")


def notes(folder: Path, number: int) -> list[str]:
    """What the job ``number`` noted, without the processes' numbers."""
    path = folder / f"{number}.txt"
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []


def processes(folder: Path, number: int) -> list[int]:
    """The processes that worked on the job ``number``, one for each note."""
    return [int(line.split()[1]) for line in (folder / f"{number}.txt").read_text().splitlines()]


def short(work: Work) -> dict[str, object]:
    note(work, "began")
    for step in range(3):
        work.progress("Counting", step, 3)
        time.sleep(work.payload.get("seconds", 0.03) / 3)
    note(work, "through")
    return {"counted": 3}


def steady(work: Work) -> dict[str, object]:
    """Goes on, in units of a tenth of a second, until it is stopped."""
    note(work, "began")
    for step in range(600):
        time.sleep(0.1)
        note(work, "unit")
        work.progress("Going on", step + 1, 600)
    return {}


def deaf(work: Work) -> dict[str, object]:
    """Reports nothing for a minute."""
    note(work, "began")
    time.sleep(60)
    note(work, "through")
    return {}


def poison(work: Work) -> dict[str, object]:
    note(work, "began")
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def refused(work: Work) -> dict[str, object]:
    raise UsageError("There is no application of the name x; `casewise applications` lists them.")


def broken(work: Work) -> dict[str, object]:
    raise ValueError("the file of Doe^John is odd")


def unwritable(work: Work) -> dict[str, object]:
    return {"what": object()}


KINDS = {
    "short": short,
    "steady": steady,
    "deaf": deaf,
    "poison": poison,
    "refused": refused,
    "broken": broken,
    "unwritable": unwritable,
}


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    do_work(Path(sys.argv[1]), kinds=KINDS, lease=float(sys.argv[2]), grace=float(sys.argv[3]), follow_parent=True)
