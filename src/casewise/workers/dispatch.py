"""Which worker has which chunk, and what becomes of the chunk of one that died: the same for processes and for Ray.

A worker answers with the outcomes of its chunk as they are there, so that the item at hand when it died is known: the first
without an outcome. That item is tried again alone, and left out once it has ended three workers; the rest of the chunk goes on with
another worker. Deaths before a worker was ready are blamed on no item: after some of them the call ends.

A worker that has had an item for longer than a limit is ended. Outcomes may wait a moment in a worker, so that the item may be the
one before: it is tried once more, alone, before it is left out.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from casewise.errors import CasewiseError, UsageError
from casewise.workers.contract import Item, Lost, Outcome

TRIES = 3  # workers that an item may end
_STOPS = 2  # times that an item may be stopped at the limit
_STARTS = 5  # workers in a row that may die before they are ready
_SOON = 0.25  # seconds: chunks that are through sooner are given together,
_MOST = 256  # so many items at most


@dataclass(frozen=True)
class Ready:
    """The worker waits for its first chunk."""

    worker: int


@dataclass(frozen=True)
class Answered(Generic[Outcome]):
    """outcomes : of the next items of its chunk. through : whether they are the last."""

    worker: int
    outcomes: tuple[Outcome | Lost, ...]
    through: bool = False


@dataclass(frozen=True)
class Died:
    """reason : a clause, such as ``killed by signal 9``."""

    worker: int
    reason: str


@dataclass(frozen=True)
class Refused:
    """What the worker's ``make`` raised: every worker would."""

    error: CasewiseError


Event = Ready | Answered[Outcome] | Died | Refused


Given = TypeVar("Given", contravariant=True)


class Pool(Protocol[Given, Outcome]):
    """Workers by number, from 0."""

    def start(self, worker: int) -> None:
        """Start it, or another one in its place."""
        ...

    def give(self, worker: int, chunk: Sequence[Given]) -> None: ...

    def wait(self, seconds: float | None = None) -> Event[Outcome] | None:
        """The next that happens; None where nothing does within ``seconds``."""
        ...

    def end(self, worker: int) -> None:
        """End it at once, whatever it does."""
        ...

    def close(self) -> None:
        """End all workers, whatever they do."""
        ...


class _Tries(NamedTuple):
    """Of a chunk's first item, which is then the only one: workers that died with it at hand, and that were ended at the limit."""

    ended: int = 0
    stopped: int = 0


_NONE = _Tries()


@dataclass
class _Held(Generic[Item]):
    """left : items of a worker's chunk without an outcome, of ``count``.

    given : when it got them. since : when it was heard from last, or got them.
    """

    left: deque[Item]
    tries: _Tries
    count: int
    given: float
    since: float


class Dispatch(Generic[Item, Outcome]):
    """The work of one call on ``pool`` with ``size`` workers; see :meth:`casewise.workers.contract.Workers.run`.

    limit : seconds that an item may take; None: any.
    """

    def __init__(self, chunks: Sequence[Sequence[Item]], pool: Pool[Item, Outcome], size: int, limit: float | None = None) -> None:
        if limit is not None and limit <= 0:
            raise UsageError(f"A limit of {limit:g} seconds is not possible; give more than 0.")
        self._waiting: deque[tuple[Sequence[Item], _Tries]] = deque((chunk, _NONE) for chunk in chunks if len(chunk))
        self._pool, self._size = pool, min(size, len(self._waiting))
        self._busy: dict[int, _Held[Item]] = {}
        self._limit = limit
        self._each = _SOON  # seconds that an item of the last chunk took
        self._idle: list[int] = []
        self._starting: set[int] = set()
        self._failed_starts = 0

    def run(self) -> Generator[tuple[Item, Outcome | Lost]]:
        try:
            for worker in range(self._size):
                self._start(worker)
            while self._waiting or self._busy:
                event = self._pool.wait(self._left())
                if event is not None:
                    yield from self._met(event)
                elif self._limit is not None:
                    yield from self._overdue(self._limit)
                self._give()
        finally:
            self._pool.close()

    def _start(self, worker: int) -> None:
        self._starting.add(worker)
        self._pool.start(worker)

    def _give(self) -> None:
        while self._waiting and self._idle:
            worker, (chunk, tries) = self._idle.pop(), self._next()
            now = time.monotonic()
            self._busy[worker] = _Held(deque(chunk), tries, len(chunk), now, now)
            self._pool.give(worker, chunk)

    def _next(self) -> tuple[Sequence[Item], _Tries]:
        """The chunk that waits longest, with those behind it where their items take next to nothing, as all chunks cost the same
        to hand out; but an item that was tried before alone, and enough left for the other workers.
        """
        chunk, tries = self._waiting.popleft()
        together = list(chunk)
        wanted, spare = min(_MOST, _SOON / max(self._each, 1e-9)), len(self._waiting) // (2 * self._size)
        while tries == _NONE and spare and self._waiting[0][1] == _NONE and len(together) + len(self._waiting[0][0]) <= wanted:
            together += self._waiting.popleft()[0]
            spare -= 1
        return together, tries

    def _met(self, event: Event[Outcome]) -> Iterator[tuple[Item, Outcome | Lost]]:
        if isinstance(event, Refused):
            raise event.error
        if isinstance(event, Ready):
            self._starting.discard(event.worker)
            self._failed_starts = 0
            self._idle.append(event.worker)
        elif isinstance(event, Answered):
            held = self._busy[event.worker]
            held.since = time.monotonic()
            for outcome in event.outcomes:
                yield held.left.popleft(), outcome
            if event.through:
                del self._busy[event.worker]
                self._each = (held.since - held.given) / held.count
                self._idle.append(event.worker)
        else:
            yield from self._buried(event)

    def _buried(self, death: Died) -> Iterator[tuple[Item, Outcome | Lost]]:
        held = self._busy.pop(death.worker, None)
        if death.worker in self._idle:
            self._idle.remove(death.worker)
        if death.worker in self._starting:
            self._starting.discard(death.worker)
            self._failed_starts += 1
            if self._failed_starts >= _STARTS:
                msg = f"Workers end before they can begin ({death.reason}); there may not be enough memory for so many of them."
                raise CasewiseError(msg)
        if held is not None and held.left:
            tries = held.tries._replace(ended=held.tries.ended + 1)
            yield from self._again(held, tries, None if tries.ended < TRIES else _ended_all(death.reason))
        if self._waiting:
            self._start(death.worker)

    def _again(self, held: _Held[Item], tries: _Tries, reason: str | None) -> Iterator[tuple[Item, Outcome | Lost]]:
        """What is left of a worker's chunk waits again, its first item alone; or is lost, where there is a reason."""
        suspect, *others = held.left
        if others:
            self._waiting.appendleft((others, _NONE))
        if reason is None:
            self._waiting.appendleft(([suspect], tries))
        else:
            yield suspect, Lost(reason)

    def _left(self) -> float | None:
        """Seconds until the first worker has had its item for too long; None without a limit."""
        if self._limit is None or not self._busy:
            return None
        return max(0.0, min(held.since for held in self._busy.values()) + self._limit - time.monotonic())

    def _overdue(self, limit: float) -> Iterator[tuple[Item, Outcome | Lost]]:
        """End the workers that have had their item for too long. All their events were met before."""
        now = time.monotonic()
        for worker in [worker for worker, held in self._busy.items() if now - held.since >= limit]:
            self._pool.end(worker)
            held = self._busy.pop(worker)
            tries = held.tries._replace(stopped=held.tries.stopped + 1)
            if held.left:
                yield from self._again(held, tries, None if tries.stopped < _STOPS else _too_long(limit))
            if self._waiting:
                self._start(worker)


def _too_long(limit: float) -> str:
    much = f"{limit / 60:g} minutes" if limit >= 120 else f"{limit:g} seconds"
    return f"It took longer than {much}, {_STOPS} times, and was left out; it may be damaged, or need more time."


def _ended_all(reason: str) -> str:
    return (
        f"It ended each of the {TRIES} workers that had it (the last: {reason}) and was left out; "
        "it may need more memory than there is, or be damaged."
    )
