"""Jobs as MONAI Label's clients know them: tasks with a status and their last lines."""

from __future__ import annotations

import time
from typing import Any

from casewise.server.jobs import OPEN, Job, Jobs

_STATUS = {"waiting": "SUBMITTED", "running": "RUNNING", "done": "DONE", "failed": "ERROR", "dead": "ERROR", "stopped": "STOPPED"}
_WORDS = {"waiting": "It waits for a worker.", "running": "It runs.", "done": "It is done.", "stopped": "It was stopped."}


def task(job: Job) -> dict[str, Any]:
    """A job. ``details`` is never empty: Slicer displays its last line."""
    found = {
        "id": str(job.id),
        "status": "RUNNING" if job.stop and job.state == "running" else _STATUS[job.state],
        "request": job.payload.get("request", {}),
        "start_ts": _time(job.created),
        "details": _lines(job),
    }
    return found if job.ended is None else {**found, "end_ts": _time(job.ended)}


def stopped(job: Job) -> dict[str, Any]:
    """A job that was just stopped; its worker ends it at its next step."""
    return {**task(job), "status": "STOPPED", "end_ts": _time(job.ended or time.time())}


def open_job(jobs: Jobs, *kinds: str) -> Job | None:
    """The job of these kinds that waits or runs and is not to be stopped; the oldest of several."""
    found = [job for job in jobs.list(states=OPEN, kinds=kinds) if not job.stop]
    return found[-1] if found else None


def newest(jobs: Jobs, *kinds: str) -> Job | None:
    return next(iter(jobs.list(kinds=kinds, limit=1)), None)


def _lines(job: Job) -> list[str]:
    lines = [f"{_time(job.created)} Queued."]
    if job.message:
        count = f" ({job.done} of {job.total})" if job.total else ""
        lines.append(f"{_time(job.changed)} {job.message}{count}")
    ending = job.error or _WORDS.get(job.state, "")
    return [*lines, f"{_time(job.ended or job.changed)} {ending}"] if ending else lines


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
