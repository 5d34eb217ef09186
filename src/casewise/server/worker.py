"""A worker: claims jobs, one after the other, does them, and reports; as many processes as a site wants, on any of its machines.

It is killed at any time without harm: its job's lease runs out, and another worker claims it. Asked to end (SIGTERM, Ctrl-C, or its
server's end), it finishes the unit of work at hand and gives the job back.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import psutil
import sqlalchemy as sa

from casewise.archive import Archive
from casewise.errors import CasewiseError
from casewise.json_safe import plain
from casewise.server.jobs import LEASE_SECONDS, Job, Jobs
from casewise.server.nameless import without_places
from casewise.server.processes import follow_parent_process, log_to_stderr, where
from casewise.server.settings import Settings
from casewise.server.store import Store
from casewise.server.work import KINDS, Kind, Stopped, Work
from casewise.workers.working import unexpected

_LOOK_SECONDS = 0.5  # how often a worker with nothing to do looks for a job
_GRACE_SECONDS = 30.0  # for a job that is to end; then its process ends
_NICE = 10  # sessions and calls come first
_log = logging.getLogger("casewise.worker")


class Worker:
    """One worker of a store. ``kinds`` : what it can do; ``lease``, ``grace`` : seconds."""

    def __init__(
        self,
        archive: Archive,
        store: Store,
        settings: Settings,
        *,
        kinds: Mapping[str, Kind] = KINDS,
        lease: float = LEASE_SECONDS,
        grace: float = _GRACE_SECONDS,
    ) -> None:
        self.archive, self.store, self.settings, self.kinds, self.grace = archive, store, settings, kinds, grace
        self.jobs = Jobs(store, lease=lease)
        self.name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
        self._leaving, self._ended = threading.Event(), threading.Event()
        self._work: Work | None = None

    def leave(self) -> None:
        """End after the unit of work at hand; its job is given back."""
        self._leaving.set()

    def run(self, *, once: bool = False) -> dict[str, int]:
        """Do jobs until ``leave`` is called; with ``once``, until none is due. Returns state → how many jobs came to it."""
        ended: dict[str, int] = {}
        self.jobs.hear_from(self.name)
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()
        while not self._leaving.is_set():
            job = self._claim()
            if job is not None:
                state = self._do(job)
                ended[state] = ended.get(state, 0) + 1
            elif once:
                break
            else:
                self._leaving.wait(_LOOK_SECONDS)
        self._ended.set()
        self.jobs.forget(self.name)
        return ended

    def _claim(self) -> Job | None:
        try:
            return self.jobs.claim(self.name)
        except sa.exc.OperationalError as error:
            _log.warning("The server's store does not answer (%s); trying again.", type(error.orig).__name__)
            self._leaving.wait(5)
            return None

    def _do(self, job: Job) -> str:
        """Do one job; returns the state that it came to."""
        began = time.monotonic()
        _log.info("job %d (%s), try %d", job.id, job.kind, job.tries)
        work = Work(job, self.archive, self.store, self.settings, self.jobs, self._leaving)
        self._work = work
        try:
            state = self._outcome(work)
        finally:
            self._work = None
        _log.info("job %d (%s): %s after %.1f s", job.id, job.kind, state, time.monotonic() - began)
        return state

    def _outcome(self, work: Work) -> str:
        job, jobs = work.job, self.jobs
        kind = self.kinds.get(job.kind)
        if kind is None:
            sentence = f"This version of casewise knows no jobs of the kind {job.kind}; update the workers, or remove the job."
            return "failed" if self._tell(jobs.fail, job, sentence) else "lost"
        try:
            result = kind(work)
            plain(result)
        except Stopped:
            return self._stopped(work)
        except CasewiseError as error:
            sentence = without_places(self.archive, self.store, str(error), self.settings.show_names)
            kept, state = self._tell(jobs.fail, job, sentence), "failed"
        except Exception as error:
            _log.error("%s", where(error))  # without its text, which may hold a name
            kept, state = self._tell(jobs.retry, job, f"{unexpected(error)} The worker's log has more."), "put back"
        else:
            work.beat()  # a short job may not have written its last progress yet
            kept, state = self._tell(jobs.finish, job, result), "done"
        return state if kept else "lost"

    def _stopped(self, work: Work) -> str:
        if work.why == "lost":
            return "lost"
        if work.why == "stop":
            return "stopped" if self._tell(self.jobs.stopped, work.job) else "lost"
        return "given back" if self._tell(self.jobs.give_back, work.job) else "lost"

    def _tell(self, tell: Callable[..., bool], *what: object) -> bool:
        """Report how a job ended; a database that is away for less than a lease loses nothing."""
        until = time.monotonic() + self.jobs.lease
        while True:
            try:
                return tell(*what)
            except sa.exc.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(1)

    def _beat(self) -> None:
        """Keep the lease while a job runs, and end the process where a job that is to end does not."""
        heard, ending = time.monotonic(), None  # when it was last heard from; since when a job is to end
        while not self._ended.wait(self.jobs.lease / 6):
            work, now = self._work, time.monotonic()
            if now - heard >= self.jobs.lease / 3:
                heard = now
                self._report(work)
            if work is None or not work.to_end:
                ending = None
            elif ending is None:
                ending = now
            elif now - ending >= self.grace and work is self._work:
                _log.warning("job %d does not stop; its worker ends.", work.job.id)
                self._stopped(work)
                os._exit(1)

    def _report(self, work: Work | None) -> None:
        try:
            self.jobs.hear_from(self.name)
            if work is not None:
                work.beat()
        except sa.exc.OperationalError as error:
            _log.warning("The server's store does not answer (%s); trying again.", type(error.orig).__name__)


def work(
    folder: Path,
    *,
    once: bool = False,
    follow_parent: bool = False,
    kinds: Mapping[str, Kind] = KINDS,
    lease: float = LEASE_SECONDS,
    grace: float = _GRACE_SECONDS,
) -> dict[str, int]:
    """Do the jobs of the archive in ``folder`` until SIGTERM or Ctrl-C, in this process, which is made to stand back for others.

    once : only until none is due. follow_parent : end when standard input is closed, as it is when the parent dies in any way.
    Call it in the main thread. Raises ArchiveError.
    """
    with Archive.open(folder) as archive, closing(Store.open(folder)) as store:
        psutil.Process().nice(_NICE if os.name == "posix" else psutil.BELOW_NORMAL_PRIORITY_CLASS)
        worker = Worker(archive, store, Settings.load(folder), kinds=kinds, lease=lease, grace=grace)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: worker.leave())
        if follow_parent:
            follow_parent_process(worker.leave)
        return worker.run(once=once)


if __name__ == "__main__":
    log_to_stderr()
    work(Path(sys.argv[1]), follow_parent=True)
