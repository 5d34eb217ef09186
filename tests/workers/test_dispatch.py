"""Which item goes to which worker, for workers that die at any moment that hypothesis thinks of."""

from __future__ import annotations

import itertools
import time
from collections import Counter, deque
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casewise.errors import CasewiseError
from casewise.workers.contract import Lost
from casewise.workers.dispatch import TRIES, Answered, Died, Dispatch, Event, Ready

Death = tuple[int, bool]


class Scripted:
    """A pool in this process. deaths : of each step, whether the worker dies rather than answer. poison : items that kill."""

    def __init__(self, deaths: Sequence[bool], poison: frozenset[int]) -> None:
        self._deaths, self._poison = deque(deaths), poison
        self._events: deque[Event[int]] = deque()
        self._chunks: dict[int, deque[int]] = {}
        self.fatal: Counter[int] = Counter()
        self.closed = False
        self.living: set[int] = set()

    def start(self, worker: int) -> None:
        assert worker not in self.living
        self.living.add(worker)
        self._events.append(Ready(worker))

    def give(self, worker: int, chunk: Sequence[int]) -> None:
        assert worker in self.living and not self._chunks.get(worker) and chunk
        self._chunks[worker] = deque(chunk)

    def wait(self, seconds: float | None = None) -> Event[int] | None:
        if self._events:
            return self._events.popleft()
        worker, chunk = next((worker, chunk) for worker, chunk in self._chunks.items() if chunk)
        if chunk[0] in self._poison or (self._deaths and self._deaths.popleft()):
            self.fatal[chunk[0]] += 1
            self._chunks[worker] = deque()
            self.living.remove(worker)
            return Died(worker, "killed by signal 9")
        return Answered(worker, (chunk.popleft(),), through=not chunk)

    def end(self, worker: int) -> None:
        self.living.remove(worker)
        self._chunks[worker] = deque()

    def close(self) -> None:
        self.closed = True


@given(
    st.lists(st.integers(1, 5), max_size=8),
    st.integers(1, 4),
    st.lists(st.booleans(), max_size=30),
    st.frozensets(st.integers(0, 12), max_size=3),
)
def test_each_item_comes_once_and_is_lost_only_after_its_tries(
    sizes: list[int], workers: int, deaths: list[bool], poison: frozenset[int]
) -> None:
    numbers = iter(range(100))
    chunks = [[next(numbers) for _ in range(size)] for size in sizes]
    pool = Scripted(deaths, poison)
    found = list(Dispatch(chunks, pool, workers).run())
    assert sorted(item for item, _ in found) == list(range(sum(sizes)))
    for item, outcome in found:
        assert isinstance(outcome, Lost) == (pool.fatal[item] == TRIES)
        assert outcome == item or isinstance(outcome, Lost)
        assert pool.fatal[item] <= TRIES
    assert pool.closed


class Slow(Scripted):
    """Never answers for some items, and may keep an outcome back while it is at the next."""

    def __init__(self, endless: frozenset[int], quick: frozenset[int]) -> None:
        super().__init__((), frozenset())
        self._endless, self._quick = endless, quick

    def wait(self, seconds: float | None = None) -> Event[int] | None:
        if self._events:
            return self._events.popleft()
        for worker, chunk in self._chunks.items():
            ready = list(itertools.takewhile(lambda item: item not in self._endless, chunk))
            while ready and ready[-1] in self._quick and len(ready) < len(chunk):
                ready.pop()  # done, and not sent before the next is
            if ready:
                for _ in ready:
                    chunk.popleft()
                return Answered(worker, tuple(ready), through=not chunk)
        assert seconds is not None
        time.sleep(seconds)
        return None


@given(st.lists(st.integers(1, 4), max_size=4), st.integers(1, 3), *[st.frozensets(st.integers(0, 12), max_size=2)] * 2)
def test_an_item_that_never_ends_is_lost_and_no_other(
    sizes: list[int], workers: int, endless: frozenset[int], quick: frozenset[int]
) -> None:
    numbers = iter(range(100))
    chunks = [[next(numbers) for _ in range(size)] for size in sizes]
    found = list(Dispatch(chunks, Slow(endless, quick - endless), workers, limit=1e-3).run())
    assert sorted(item for item, _ in found) == list(range(sum(sizes)))
    for item, outcome in found:
        assert isinstance(outcome, Lost) == (item in endless)
        assert not isinstance(outcome, Lost) or "It took longer than 0.001 seconds, 2 times" in outcome.reason


class Paced(Scripted):
    """Its items take ``seconds``, by a clock of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        super().__init__((), frozenset())
        self.now, self.seconds = 0.0, seconds
        self.given: list[int] = []
        monkeypatch.setattr("casewise.workers.dispatch.time.monotonic", lambda: self.now)

    def give(self, worker: int, chunk: Sequence[int]) -> None:
        self.given.append(len(chunk))
        super().give(worker, chunk)

    def wait(self, seconds: float | None = None) -> Event[int] | None:
        event = super().wait(seconds)
        self.now += self.seconds if isinstance(event, Answered) else 0
        return event


@pytest.mark.parametrize(("seconds", "most"), [(0.001, 240), (0.01, 16), (0.1, 16)])
def test_chunks_whose_items_take_nothing_are_given_together(monkeypatch: pytest.MonkeyPatch, seconds: float, most: int) -> None:
    pool = Paced(monkeypatch, seconds)
    found = list(Dispatch([range(n, n + 16) for n in range(0, 4800, 16)], pool, 2).run())
    assert sorted(item for item, _ in found) == list(range(4800))
    assert pool.given[:2] == [16, 16] and max(pool.given) == most
    assert pool.given[-2:] == [16, 16]  # no worker is idle while another has much left


def test_an_item_that_ended_a_worker_is_tried_alone() -> None:
    given: list[list[int]] = []

    class Noting(Scripted):
        def give(self, worker: int, chunk: Sequence[int]) -> None:
            given.append(list(chunk))
            super().give(worker, chunk)

    found = dict(Dispatch([[number] for number in range(40)], Noting((), frozenset({3})), 1).run())
    assert isinstance(found[3], Lost) and len(found) == 40
    assert max(map(len, given)) > 1  # the others are given together
    assert [chunk for chunk in given if 3 in chunk][1:] == [[3], [3]]


class NeverReady(Scripted):
    def start(self, worker: int) -> None:
        self._events.append(Died(worker, "ended with exit code 1"))


def test_workers_that_never_begin_are_not_started_for_ever() -> None:
    pool = NeverReady((), frozenset())
    with pytest.raises(CasewiseError, match=r"before they can begin \(ended with exit code 1\)"):
        list(Dispatch([[1], [2], [3]], pool, 2).run())
    assert pool.closed
