"""Server-sent events: what becomes of jobs, and that images arrived, as it happens.

One task asks the store every half second, for as long as anybody listens; each listener is given what is new to it. One that is too
slow for all states of a job is given the newest.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field

import sqlalchemy as sa

from casewise.json_safe import dumps
from casewise.server.job_line import job_line
from casewise.server.jobs import Job, Jobs

_LOOK_SECONDS = 0.5
_OVERLAP_SECONDS = 5.0  # a change is read again for so long: one transaction may end after a younger one
_QUIET_SECONDS = 15.0  # after which a listener is sent a comment, so that no proxy takes the connection for dead


@dataclass(eq=False)
class _Listener:
    wanted: frozenset[int] | None
    jobs: dict[int, Job] = field(default_factory=dict)  # to be sent
    arrived: int | None = None  # to be sent
    known: dict[int, Job] = field(default_factory=dict)  # as sent last
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def wants(self, job: Job) -> bool:
        """Whether it asked for this job, and was not sent this state of it."""
        known = self.known.get(job.id)
        return (self.wanted is None or job.id in self.wanted) and (known is None or known.changed != job.changed)

    def take(self) -> list[str]:
        """What is to be sent, as text; nothing of it is sent again."""
        jobs, arrived = sorted(self.jobs.values(), key=lambda job: job.changed), self.arrived
        self.jobs, self.arrived = {}, None
        self.news.clear()
        return [self._job(job) for job in jobs] + ([] if arrived is None else [_text("arrived", dumps({"newest": arrived}))])

    def _job(self, job: Job) -> str:
        known = self.known.get(job.id)
        event = "progress" if known is not None and known.state == job.state else "state"
        self.known[job.id] = job
        return _text(event, job_line(job).model_dump_json(), str(job.changed))


class Events:
    """The events of one server.

    newest : the number of the archive's newest image; it grows when images arrive.
    Everything but ``newest`` and what asks the store is called in the event loop.
    """

    def __init__(self, jobs: Jobs, newest: Callable[[], int] = lambda: 0) -> None:
        self._jobs, self._newest = jobs, newest
        self._listeners: set[_Listener] = set()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def stream(
        self, wanted: Collection[int] | None = None, after: float | None = None, longest: float = float("inf")
    ) -> AsyncIterator[str]:
        """The text of an event stream, until the listener or the server goes, or for ``longest`` seconds.

        wanted : only these jobs, whose states are sent first; None: all, from now on. after : the time of the last event that the
        listener was sent before it lost the connection; what changed since then is sent first.
        """
        listener = _Listener(None if wanted is None else frozenset(wanted))
        begin = await asyncio.to_thread(self._first, listener, after)
        listener.jobs = {job.id: job for job in begin}
        if begin:
            listener.news.set()
        self._listeners.add(listener)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch())
        try:
            yield "retry: 2000\n\n"
            end = time.monotonic() + longest
            while not self._closed and time.monotonic() < end:
                try:
                    await asyncio.wait_for(listener.news.wait(), min(_QUIET_SECONDS, longest))
                except TimeoutError:
                    yield ": nothing new\n\n"
                for text in listener.take():
                    yield text
        finally:
            self._listeners.discard(listener)

    def close(self) -> None:
        """End all streams; their clients connect again to the next server."""
        self._closed = True
        for listener in self._listeners:
            listener.news.set()
        if self._task is not None:
            self._task.cancel()

    def _first(self, listener: _Listener, after: float | None) -> list[Job]:
        if after is not None:
            return [job for job in self._jobs.changed_since(after) if listener.wants(job)]
        found = [self._jobs.get(number) for number in listener.wanted or ()]
        return [job for job in found if job is not None]

    async def _watch(self) -> None:
        """Ask the store while anybody listens."""
        seen: dict[int, float] = {}
        since, newest = await asyncio.to_thread(self._begin)
        while self._listeners:
            with contextlib.suppress(sa.exc.OperationalError):  # the database is away for a while
                now, changed, arrived = await asyncio.to_thread(self._ask, since)
                fresh = [job for job in changed if seen.get(job.id) != job.changed]
                seen = {job.id: job.changed for job in changed}
                since = now - _OVERLAP_SECONDS
                for listener in self._listeners:
                    _give(listener, fresh, arrived if arrived != newest else None)
                newest = arrived
            await asyncio.sleep(_LOOK_SECONDS)

    def _begin(self) -> tuple[float, int]:
        return self._jobs.now() - 2 * _LOOK_SECONDS, self._newest()

    def _ask(self, since: float) -> tuple[float, list[Job], int]:
        return self._jobs.now(), list(self._jobs.changed_since(since)), self._newest()


def _give(listener: _Listener, jobs: list[Job], arrived: int | None) -> None:
    wanted = {job.id: job for job in jobs if listener.wants(job)}
    listener.jobs |= wanted
    listener.arrived = listener.arrived if arrived is None else arrived
    if wanted or arrived is not None:
        listener.news.set()


def _text(event: str, data: str, number: str | None = None) -> str:
    """One event; ``data`` is one line, as JSON is."""
    return (f"id: {number}\n" if number else "") + f"event: {event}\ndata: {data}\n\n"
