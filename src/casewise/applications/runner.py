"""``Runner``: many images, each with the applications of its route, on all cores, in bounded memory and time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from types import TracebackType

from casewise.applications.declared import Declared
from casewise.applications.isolated.foreign import ForeignApplications
from casewise.applications.isolated.held_process import Supervision, Voxels
from casewise.applications.outcome import Failure, Job, JobResult, Outcome
from casewise.applications.own_process import OwnApplications
from casewise.errors import UsageError

Answers = Future[list[Outcome]]  # of some of a job's applications, in their order


class Runner:
    """Runs the applications of jobs side by side; a context manager, which leaves no process and no temporary file.

    workers : how many processes compute at one time (None: as many as there are cores), each with one thread. Those applications
    of an image that come with casewise share a process (:mod:`casewise.applications.own_process`), every other has its own
    (:mod:`casewise.applications.isolated`). Processes are kept for the next image.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or _cores()
        if self.workers < 1:
            raise UsageError(f"{workers} applications at a time are not possible; give 1 or more.")
        self._supervision = Supervision()
        self._own = OwnApplications(self._supervision, self.workers)
        self._foreign = ForeignApplications(self._supervision, self.workers)
        self._executor = ThreadPoolExecutor(self.workers, thread_name_prefix="casewise-application")

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def start(self, images: int) -> None:
        """Start processes for so many images, at most as many as compute at one time, ahead of :meth:`run`; to be called once."""
        self._own.start(min(images, self.workers))

    def close(self) -> None:
        """End every process that is left, also in the middle of an image."""
        self._supervision.stopping.set()
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._own.close()
        self._foreign.close()
        self._supervision.close()

    def run(self, jobs: Iterable[Job], ahead: int | None = None) -> Iterator[JobResult]:
        """Each job's outcomes, in the order of the jobs.

        Jobs are taken from ``jobs`` as there is room: no more than ``ahead`` (4 for each worker) are under way and in memory. While
        the caller makes the next job or deals with a ``JobResult``, the applications go on.
        """
        room = ahead if ahead is not None else 4 * self.workers
        waiting: deque[tuple[Job, Voxels, list[tuple[tuple[Declared, ...], Answers]]]] = deque()
        for job in jobs:
            voxels = self._supervision.voxels(job.image)
            waiting.append((job, voxels, self._submitted(job, voxels)))
            while waiting and (len(waiting) >= room or all(future.done() for _, future in waiting[0][2])):
                yield _through(*waiting.popleft())
        while waiting:
            yield _through(*waiting.popleft())

    def _submitted(self, job: Job, voxels: Voxels) -> list[tuple[tuple[Declared, ...], Answers]]:
        own = tuple(declared for declared in job.applications if declared.own)
        found = [(own, self._executor.submit(self._own.run, job, own, voxels))] if own else []
        for declared in job.applications:
            if not declared.own:
                found.append(((declared,), self._executor.submit(self._run_foreign, job, declared, voxels)))
        return found

    def _run_foreign(self, job: Job, declared: Declared, voxels: Voxels) -> list[Outcome]:
        return [self._foreign.run(job, declared, voxels)]


def _through(job: Job, voxels: Voxels, parts: list[tuple[tuple[Declared, ...], Answers]]) -> JobResult:
    outcomes: dict[str, Outcome] = {}
    for applications, future in parts:
        try:
            outcomes |= {outcome.application: outcome for outcome in future.result()}
        except CancelledError:
            outcomes |= {one.name: Failure(one.name, f"{one.name} was stopped, because casewise was.") for one in applications}
    voxels.remove()
    return JobResult(job, tuple(outcomes[declared.name] for declared in job.applications))


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
