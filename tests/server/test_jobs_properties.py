"""The queue beside a model of it: any order of calls by several workers, with leases that run out and clocks that jump."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
import sqlalchemy as sa

from casewise.errors import UsageError
from casewise.server.jobs import TRIES, Job, Jobs
from casewise.server.store import Store

LEASE = 60.0
ENDED = ("done", "failed", "dead", "stopped")


class Clocked(Jobs):
    """A queue whose database's clock is set by the test."""

    time = 1_000_000.0

    def _now(self, connection: sa.Connection) -> float:
        return self.time


@dataclass
class Known:
    """What the model knows of a job. claim : the number of the claim by which somebody has it."""

    state: str = "waiting"
    priority: int = 0
    unique: str | None = None
    tries: int = 0
    run_after: float = 0.0
    lease_until: float = 0.0
    stop: bool = False
    claim: int | None = None


class QueueBesideModel:
    """The same calls go to the queue and to the model, which are compared after each."""

    def __init__(self, store: Store, chance: random.Random) -> None:
        self.jobs = Clocked(store, lease=LEASE)
        self.chance = chance
        self.known: dict[int, Known] = {}
        self.claims: list[Job] = []

    def step(self) -> None:
        self.chance.choices([self.add, self.claim, self.report, self.stop, self.again, self.time_goes], [3, 6, 8, 1, 1, 3])[0]()
        stored = {job.id: job for job in self.jobs.list(limit=1000)}
        assert {number: job.state for number, job in stored.items()} == {n: one.state for n, one in self.known.items()}
        for number, job in stored.items():
            assert (job.tries, job.ended is not None) == (self.known[number].tries, job.state in ENDED)
            assert job.error is not None or job.state not in ("failed", "dead")

    def drain(self) -> None:
        """Whatever happened, each job ends once somebody works."""
        for _ in range(2 * len(self.known)):
            self.jobs.time += 10 * LEASE + 1000
            if (job := self.jobs.claim("last")) is not None:
                assert self.jobs.finish(job, {})
        assert set(self.jobs.counts()) <= set(ENDED)

    def add(self) -> None:
        priority, unique = self.chance.randint(-1, 1), self.chance.choice([None, None, "a", "b"])
        run_after = self.jobs.time + 30 if self.chance.random() < 0.3 else 0.0
        number = self.jobs.add("k", {}, unique_key=unique, priority=priority, run_after=run_after)
        same = [n for n, one in self.known.items() if unique is not None and one.unique == unique and one.state not in ENDED]
        assert ([number] == same) if same else number not in self.known
        if not same:
            self.known[number] = Known(priority=priority, unique=unique, run_after=run_after)

    def claim(self) -> None:
        job = self.jobs.claim(self.chance.choice(["one", "two"]))
        assert (None if job is None else job.id) == self._next()
        if job is not None:
            one = self.known[job.id]
            one.state, one.tries, one.lease_until = "running", one.tries + 1, self.jobs.time + LEASE
            one.claim = len(self.claims)
            assert job.tries == one.tries <= TRIES
            self.claims.append(job)

    def _next(self) -> int | None:
        """The job that is to be claimed; those that are not to be run any more end on the way to it."""
        now = self.jobs.time
        for number in sorted(self.known, key=lambda number: (-self.known[number].priority, number)):
            one = self.known[number]
            over = one.lease_until < now or one.lease_until > now + 10 * LEASE
            if (one.state == "waiting" and one.run_after <= now) or (one.state == "running" and over):
                if one.stop:
                    one.state = "stopped"
                elif one.tries >= TRIES:
                    one.state = "dead"
                else:
                    return number
        return None

    def report(self) -> None:
        """A worker reports on any of the last claims, or on one of long ago: only who holds the job is listened to."""
        if not self.claims:
            return
        first = 0 if self.chance.random() < 0.2 else max(0, len(self.claims) - 4)
        number = self.chance.randrange(first, len(self.claims))
        job = self.claims[number]
        one = self.known[job.id]
        mine = one.state == "running" and one.claim == number
        what = self.chance.choice(["heartbeat", "finish", "fail", "retry", "give_back", "stopped"])
        if what == "heartbeat":
            assert self.jobs.heartbeat(job, 1, 2) == (("stop" if one.stop else "go on") if mine else "lost")
            one.lease_until = self.jobs.time + LEASE if mine else one.lease_until
            return
        more = {"finish": ({},), "fail": ("No.",), "retry": ("No.",)}.get(what, ())
        assert getattr(self.jobs, what)(job, *more) == mine
        if not mine:
            return
        stored = self.jobs.get(job.id)
        assert stored is not None
        if what == "give_back" or (what == "retry" and one.tries < TRIES):
            one.state, one.tries, one.run_after = "waiting", one.tries - (what == "give_back"), stored.run_after
            assert (stored.run_after > self.jobs.time) == (what == "retry")
        else:
            one.state = {"finish": "done", "fail": "failed", "retry": "dead", "stopped": "stopped"}[what]

    def stop(self) -> None:
        if self.known:
            number = self.chance.choice(sorted(self.known))
            self.jobs.stop(number)
            one = self.known[number]
            one.state, one.stop = (
                ("stopped", one.stop) if one.state == "waiting" else (one.state, one.stop or one.state == "running")
            )

    def again(self) -> None:
        if not self.known:
            return
        number = self.chance.choice(sorted(self.known))
        one = self.known[number]
        same = [other for other in self.known.values() if other is one or (one.unique is not None and other.unique == one.unique)]
        if any(other.state not in ENDED for other in same):
            with pytest.raises(UsageError):
                self.jobs.again(number)
            return
        self.jobs.again(number)
        self.known[number] = Known(priority=one.priority, unique=one.unique, run_after=self.jobs.time)

    def time_goes(self) -> None:
        self.jobs.time += self.chance.choices([1.0, 29.0, 61.0, 200.0, -1.0, -10_000.0], [4, 4, 6, 3, 2, 1])[0]


@pytest.mark.parametrize("seed", range(4))
def test_the_queue_does_what_its_model_does(store: Store, seed: int) -> None:
    both = QueueBesideModel(store, random.Random(seed))
    for _ in range(150):
        both.step()
    assert len(both.claims) > 15
    both.drain()
