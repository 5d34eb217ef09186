"""Which worker has which chunk, and what becomes of the chunk of one that died: the same for processes and for Ray.

A worker answers with the outcomes of its chunk as they are there, so that the item at hand when it died is known: the first
without an outcome. That item is tried again alone, and left out once it has ended three workers; the rest of the chunk goes on with
another worker. Deaths before a worker was ready are blamed on no item: after some of them the call ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from casewise.errors import CasewiseError
from casewise.workers.contract import Item, Lost, Outcome

TRIES = 3  # workers that an item may end
_STARTS = 5  # workers in a row that may die before they are ready


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

    def wait(self) -> Event[Outcome]:
        """The next that happens."""
        ...

    def close(self) -> None:
        """End all workers, whatever they do."""
        ...


@dataclass
class _Held(Generic[Item]):
    """A chunk with a worker. left : its items without an outcome. ended : workers that died with the first at hand."""

    left: deque[Item]
    ended: int


class Dispatch(Generic[Item, Outcome]):
    """The work of one call on ``pool`` with ``size`` workers; see :meth:`casewise.workers.contract.Workers.run`."""

    def __init__(self, chunks: Sequence[Sequence[Item]], pool: Pool[Item, Outcome], size: int) -> None:
        # With the workers that died with its first item at hand, which is then the only one.
        self._waiting: deque[tuple[Sequence[Item], int]] = deque((chunk, 0) for chunk in chunks if len(chunk))
        self._pool, self._size = pool, min(size, len(self._waiting))
        self._busy: dict[int, _Held[Item]] = {}
        self._idle: list[int] = []
        self._starting: set[int] = set()
        self._failed_starts = 0

    def run(self) -> Generator[tuple[Item, Outcome | Lost]]:
        try:
            for worker in range(self._size):
                self._start(worker)
            while self._waiting or self._busy:
                yield from self._met(self._pool.wait())
                self._give()
        finally:
            self._pool.close()

    def _start(self, worker: int) -> None:
        self._starting.add(worker)
        self._pool.start(worker)

    def _give(self) -> None:
        while self._waiting and self._idle:
            worker, (chunk, ended) = self._idle.pop(), self._waiting.popleft()
            self._busy[worker] = _Held(deque(chunk), ended)
            self._pool.give(worker, chunk)

    def _met(self, event: Event[Outcome]) -> Iterator[tuple[Item, Outcome | Lost]]:
        if isinstance(event, Refused):
            raise event.error
        if isinstance(event, Ready):
            self._starting.discard(event.worker)
            self._failed_starts = 0
            self._idle.append(event.worker)
        elif isinstance(event, Answered):
            held = self._busy[event.worker]
            for outcome in event.outcomes:
                yield held.left.popleft(), outcome
            if event.through:
                del self._busy[event.worker]
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
            suspect, *others = held.left
            if others:
                self._waiting.appendleft((others, 0))
            if held.ended + 1 < TRIES:
                self._waiting.appendleft(([suspect], held.ended + 1))
            else:
                yield suspect, Lost(_ended_all(death.reason))
        if self._waiting:
            self._start(death.worker)


def _ended_all(reason: str) -> str:
    return (
        f"It ended each of the {TRIES} workers that had it (the last: {reason}) and was left out; "
        "it may need more memory than there is, or be damaged."
    )
