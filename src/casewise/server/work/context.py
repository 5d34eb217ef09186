"""``Work``: what the function of a job is given."""

from __future__ import annotations

import threading
import time
from typing import Any

import sqlalchemy as sa

from casewise.archive import Archive
from casewise.server.jobs import Heard, Job, Jobs
from casewise.server.settings import Settings
from casewise.server.store import Store

_WRITE_SECONDS = 0.5  # progress is written at most so often


class Stopped(BaseException):  # no error: nothing that catches errors may go on after it
    """The job is to end now: a person stopped it, its worker ends, or it has been taken over by another worker."""


class Work:
    """One claimed job while it runs.

    job : as it was claimed; by ``job.created`` a kind that is run again finds what was done for this job already.
    archive, store, settings, jobs : the worker's. leaving : set when the worker is to end.
    """

    def __init__(
        self, job: Job, archive: Archive, store: Store, settings: Settings, jobs: Jobs, leaving: threading.Event | None = None
    ) -> None:
        self.job, self.archive, self.store, self.settings, self.jobs = job, archive, store, settings, jobs
        self.why: Heard | None = None  # why the job is to end; None while it is to go on
        self._leaving = leaving or threading.Event()
        self._lock = threading.Lock()
        self._done, self._total, self._message = 0, 0, ""
        self._written = float("-inf")
        self._extended = time.monotonic()

    @property
    def payload(self) -> dict[str, Any]:
        return self.job.payload

    @property
    def created_by(self) -> str | None:
        return self.job.created_by

    def progress(self, step: str, done: int, total: int | None = None, note: str = "", /) -> None:
        """Report how far the job is (a :class:`casewise.progress.Progress`), between two units of work: raises ``Stopped`` where
        the job is to end, so what is half done when this is called is lost.
        """
        with self._lock:
            self._done, self._total, self._message = done, total or 0, f"{step}: {note}" if note else step
        if time.monotonic() - self._written >= _WRITE_SECONDS:
            self.beat()
        if self.to_end:
            raise Stopped

    def give_way(self) -> None:
        """Where a job of a higher priority waits: raises ``Stopped``, and this one is put back and goes on later. For long jobs,
        between two units of work of which nothing is lost.
        """
        if self.jobs.outranked(self.job):
            raise Stopped

    @property
    def to_end(self) -> bool:
        return self.why is not None or self._leaving.is_set()

    def beat(self) -> None:
        """Extend the lease and write how far the job is; any thread may call this."""
        with self._lock:
            began = self._written = time.monotonic()
            try:
                heard = self.jobs.heartbeat(self.job, self._done, self._total, self._message)
            except sa.exc.OperationalError:  # the database is away: another worker may claim the job once the lease has run out
                heard = "lost" if began - self._extended > self.jobs.lease else "go on"
            else:
                self._extended = began
        if heard != "go on":
            self.why = heard
