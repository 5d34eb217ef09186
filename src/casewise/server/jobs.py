"""The queue: jobs with a lease, a heartbeat and a dead letter, so that each ends once, whatever is killed.

A worker claims a job for the time of a lease, and extends the lease by heartbeats. A worker that is killed lets its lease run out;
another one claims the job then. After three such tries the job is *dead*: it is kept with the reason, and is run again only when a
person asks. All times are those of one clock, the database's: clocks of several machines may differ.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import sqlalchemy as sa

from casewise.errors import UsageError
from casewise.json_safe import plain
from casewise.server import clock
from casewise.server.store import Store
from casewise.server.store import jobs as table
from casewise.server.store import workers as workers_table

LEASE_SECONDS = 60.0
TRIES = 3
OPEN = ("waiting", "running")
_LONGEST = 2000  # characters of a sentence that is kept
_HEARD = 60.0  # seconds for which a worker counts as there
_APART = 1e-5  # seconds between two claims of a job, at least
_PAUSES = (5.0, 30.0, 120.0)  # before a job whose worker met an unexpected error is tried again

Heard = Literal["go on", "stop", "lost"]


@dataclass(frozen=True)
class Job:
    """One job as it stood when it was read.

    state : waiting, running, done, failed (an error that its user can mend), dead (its workers died, or met an unexpected error,
    three times) or stopped. tries : how often it was claimed. worker : who has it, or had it last. stop : it is to be stopped.
    created, started (its last try), changed, ended, run_after, lease_until : seconds since 1970 by the database's clock.
    """

    id: int
    kind: str
    state: str
    priority: int
    payload: dict[str, Any]
    unique_key: str | None
    tries: int
    run_after: float
    lease_until: float | None
    worker: str | None
    done: int
    total: int
    message: str
    error: str | None
    result: dict[str, Any] | None
    stop: bool
    created_by: str | None
    created: float
    started: float | None
    changed: float
    ended: float | None


class Jobs:
    """The queue of one store; any number of processes may use it at once. ``lease`` : seconds."""

    def __init__(self, store: Store, *, lease: float = LEASE_SECONDS) -> None:
        self.store = store
        self.lease = lease

    def add(
        self,
        kind: str,
        payload: dict[str, Any],
        *,
        unique_key: str | None = None,
        priority: int = 0,
        created_by: str | None = None,
        run_after: float = 0,
        within: sa.Connection | None = None,
    ) -> int:
        """Queue a job and return its number; a job of the same ``unique_key`` that waits or runs is returned instead.

        priority : the highest is done first, then the oldest. run_after : not before this time. within : a transaction of the store
        with which the job is queued, or not. Raises IntegrityError where another process queues the same at the same time.
        """
        values = {"kind": kind, "payload": plain(payload), "unique_key": unique_key, "priority": priority, "run_after": run_after}
        values["created_by"] = created_by
        if within is not None:
            return self._add(within, values)
        for _ in range(10):
            try:
                with self.store.write() as connection:
                    return self._add(connection, values)
            except sa.exc.IntegrityError:  # another process queued the same one in between
                continue
        msg = f"The {kind} job cannot be queued: another of its kind comes and goes all the time; try again."
        raise UsageError(msg)

    def get(self, number: int) -> Job | None:
        with self.store.read() as connection:
            return self._read(connection, number)

    def newest(self, unique_key: str) -> Job | None:
        """The newest job of this key, in whatever state; None where there was none."""
        query = sa.select(table).where(table.c.unique_key == unique_key).order_by(table.c.id.desc()).limit(1)
        with self.store.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _job(row)

    def list(
        self, states: Collection[str] = (), kinds: Collection[str] = (), after: int | None = None, limit: int = 100
    ) -> Sequence[Job]:
        """The newest first: those in ``states`` and of ``kinds`` (all, where none are given), older than the job ``after``."""
        query = sa.select(table).order_by(table.c.id.desc()).limit(limit)
        if states:
            query = query.where(table.c.state.in_(list(states)))
        if kinds:
            query = query.where(table.c.kind.in_(list(kinds)))
        if after is not None:
            query = query.where(table.c.id < after)
        with self.store.read() as connection:
            return [_job(row) for row in connection.execute(query)]

    def changed_since(self, moment: float) -> Sequence[Job]:
        """Jobs that changed at or after ``moment``, in the order of their changes."""
        query = sa.select(table).where(table.c.changed >= moment).order_by(table.c.changed, table.c.id)
        with self.store.read() as connection:
            return [_job(row) for row in connection.execute(query)]

    def now(self) -> float:
        """Seconds since 1970 by the clock that all times of the queue are from."""
        with self.store.read() as connection:
            return self._now(connection)

    def counts(self) -> dict[str, int]:
        """State → how many jobs are in it; states without a job are left out."""
        with self.store.read() as connection:
            rows = connection.execute(sa.select(table.c.state, sa.func.count()).group_by(table.c.state)).all()
        return {str(state): int(number) for state, number in rows}

    def outranked(self, job: Job) -> bool:
        """Whether a job of a higher priority could begin now."""
        with self.store.read() as connection:
            now = self._now(connection)
            due = (table.c.state == "waiting", table.c.run_after <= now, table.c.priority > job.priority)
            return connection.scalar(sa.select(table.c.id).where(*due).limit(1)) is not None

    def waited(self) -> float:
        """Seconds since the oldest job that is due could have begun; 0 where none waits."""
        with self.store.read() as connection:
            now = self._now(connection)
            due = sa.func.min(sa.case((table.c.run_after > table.c.created, table.c.run_after), else_=table.c.created))
            since = connection.scalar(sa.select(due).where(table.c.state == "waiting", table.c.run_after <= now))
        return 0.0 if since is None else max(0.0, now - float(since))

    def by_kind(self) -> Sequence[tuple[str, int, float, int]]:
        """(kind, how many are done, the seconds that these took, how many failed or are dead)."""
        done = table.c.state == "done"
        spent = sa.func.coalesce(sa.func.sum(sa.case((done, table.c.ended - table.c.started))), 0.0)
        failed = sa.func.count(sa.case((table.c.state.in_(("failed", "dead")), 1)))
        query = sa.select(table.c.kind, sa.func.count(sa.case((done, 1))), spent, failed).group_by(table.c.kind)
        with self.store.read() as connection:
            return [(str(kind), int(n), float(seconds), int(bad)) for kind, n, seconds, bad in connection.execute(query)]

    def stop(self, number: int) -> Job | None:
        """Stop a job: one that waits at once, one that runs at its worker's next step; others stay. None where there is none."""
        with self.store.write() as connection:
            now = self._now(connection)
            one = table.c.id == number
            waiting = {"state": "stopped", "ended": now, "changed": now, "message": ""}
            connection.execute(sa.update(table).where(one, table.c.state == "waiting").values(waiting))
            connection.execute(sa.update(table).where(one, table.c.state == "running").values(stop=True, changed=now))
            return self._read(connection, number)

    def again(self, number: int) -> Job | None:
        """Queue a job that has ended once more, as if it were new; None where there is none. Raises UsageError for one that has
        not ended, and where another one like it is queued already.
        """
        with self.store.write() as connection:
            job = self._read(connection, number)
            if job is None:
                return None
            if job.state in OPEN or (other := _open_with(connection, job.unique_key)) is not None:
                same = f"job {number} is {job.state}" if job.state in OPEN else f"job {other} is the same and has not ended"
                msg = f"Job {number} cannot be run again: {same}. Wait for it, or stop it first."
                raise UsageError(msg)
            now = self._now(connection)
            fresh = {"tries": 0, "run_after": now, "done": 0, "total": 0, "message": "", "error": None, "result": None}
            self._set(connection, number, state="waiting", changed=now, ended=None, stop=False, worker=None, **fresh)
            return self._read(connection, number)

    def claim(self, worker: str) -> Job | None:
        """The next job for ``worker``, leased to it; None where none is due.

        That is the oldest of the highest priority of those that wait and are due, and of those that run with a lease that ran out.
        """
        with self.store.write() as connection:
            now = self._now(connection)
            # A lease further ahead than any can be is from before the clock was set back: nobody has it.
            over = sa.or_(table.c.lease_until < now, table.c.lease_until > now + 10 * max(self.lease, LEASE_SECONDS))
            due = sa.or_(sa.and_(table.c.state == "waiting", table.c.run_after <= now), sa.and_(table.c.state == "running", over))
            order = sa.select(table).where(due).order_by(table.c.priority.desc(), table.c.id).limit(1)
            while (row := connection.execute(order.with_for_update(skip_locked=True)).one_or_none()) is not None:
                if row.stop:
                    self._end(connection, row.id, "stopped", now)
                elif row.tries >= TRIES:
                    self._end(connection, row.id, "dead", now, error=row.error or _DIED.format(row.tries))
                else:
                    started = max(now, (row.started or 0.0) + _APART)  # each claim has its own, whatever the clock does
                    taken = {"tries": row.tries + 1, "lease_until": now + self.lease, "worker": worker, "started": started}
                    self._set(connection, row.id, state="running", changed=now, **taken)
                    return self._read(connection, row.id)
        return None

    def heartbeat(self, job: Job, done: int = 0, total: int = 0, message: str = "") -> Heard:
        """Extend the lease and report how far the job is.

        Returns ``go on``; ``stop`` where a person stopped it; ``lost`` where the lease ran out and the job is another's by now.
        """
        with self.store.write() as connection:
            now = self._now(connection)
            how_far = {"done": done, "total": total, "message": _kept(message)}
            values = {"lease_until": now + self.lease, "changed": now, **how_far}
            updated = connection.execute(sa.update(table).where(*_mine(job)).values(values))
            if updated.rowcount != 1:
                return "lost"
            return "stop" if connection.scalar(sa.select(table.c.stop).where(table.c.id == job.id)) else "go on"

    def finish(self, job: Job, result: dict[str, Any]) -> bool:
        """The job is done; False where the lease was lost, and nothing was changed."""
        return self._ended(job, "done", result=plain(result), error=None)

    def fail(self, job: Job, sentence: str) -> bool:
        """The job cannot be done as it was asked for, and trying again is of no use."""
        return self._ended(job, "failed", error=_kept(sentence))

    def stopped(self, job: Job) -> bool:
        """The job's worker stopped it, as a person asked."""
        return self._ended(job, "stopped", error=None)

    def retry(self, job: Job, sentence: str) -> bool:
        """The job's worker met an unexpected error: it is tried again after a pause; dead after the third time."""
        if job.tries >= TRIES:
            return self._ended(job, "dead", error=_kept(sentence))
        return self._put_back(job, pause=_PAUSES[job.tries - 1], error=_kept(sentence))

    def give_back(self, job: Job) -> bool:
        """The job's worker ends in good order: another one may claim it at once, and this try does not count."""
        return self._put_back(job, tries=job.tries - 1)

    def hear_from(self, worker: str) -> None:
        """Note that this worker is there."""
        with self.store.write() as connection:
            now = self._now(connection)
            if connection.execute(sa.update(workers_table).where(workers_table.c.name == worker).values(seen=now)).rowcount == 0:
                connection.execute(sa.insert(workers_table).values(name=worker, seen=now))
            connection.execute(sa.delete(workers_table).where(workers_table.c.seen < now - 60 * _HEARD))

    def forget(self, worker: str) -> None:
        """This worker has ended."""
        with self.store.write() as connection:
            connection.execute(sa.delete(workers_table).where(workers_table.c.name == worker))

    def workers(self) -> Sequence[str]:
        """Names of the workers heard from in the last minute."""
        with self.store.read() as connection:
            since = self._now(connection) - _HEARD
            query = sa.select(workers_table.c.name).where(workers_table.c.seen >= since).order_by(workers_table.c.name)
            return [str(name) for name in connection.scalars(query)]

    _now = staticmethod(clock.now)

    def _add(self, connection: sa.Connection, values: dict[str, Any]) -> int:
        known = _open_with(connection, values["unique_key"])
        if known is not None:
            return known
        now = self._now(connection)
        made = connection.execute(sa.insert(table).values(state="waiting", created=now, changed=now, **values))
        return int(cast(Any, made.inserted_primary_key)[0])

    def _read(self, connection: sa.Connection, number: int) -> Job | None:
        row = connection.execute(sa.select(table).where(table.c.id == number)).one_or_none()
        return None if row is None else _job(row)

    def _set(self, connection: sa.Connection, number: int, **values: object) -> None:
        connection.execute(sa.update(table).where(table.c.id == number).values(**values))

    def _end(self, connection: sa.Connection, number: int, state: str, now: float, error: str | None = None) -> None:
        self._set(connection, number, state=state, ended=now, changed=now, lease_until=None, error=error)

    def _ended(self, job: Job, state: str, **values: object) -> bool:
        with self.store.write() as connection:
            now = self._now(connection)
            values |= {"state": state, "ended": now, "changed": now, "lease_until": None}
            return connection.execute(sa.update(table).where(*_mine(job)).values(values)).rowcount == 1

    def _put_back(self, job: Job, pause: float = 0, **values: object) -> bool:
        with self.store.write() as connection:
            now = self._now(connection)
            values |= {"state": "waiting", "run_after": now + pause, "changed": now, "lease_until": None}
            return connection.execute(sa.update(table).where(*_mine(job)).values(values)).rowcount == 1


_DIED = "Its worker died {} times while it ran; the machine may be short of memory, or one of its images may crash a library."


def _mine(job: Job) -> tuple[sa.ColumnElement[bool], ...]:
    """The job as it was claimed; after another claim, even by the same worker, ``started`` differs."""
    return (table.c.id == job.id, table.c.state == "running", table.c.started == job.started)


def _open_with(connection: sa.Connection, unique_key: str | None) -> int | None:
    if unique_key is None:
        return None
    query = sa.select(table.c.id).where(table.c.unique_key == unique_key, table.c.state.in_(OPEN))
    found = connection.scalar(query.limit(1))
    return None if found is None else int(found)


def _job(row: sa.Row[Any]) -> Job:
    return Job(**cast(Any, row)._mapping)


def _kept(sentence: str) -> str:
    """As the databases keep it: PostgreSQL knows no text with a null character."""
    return sentence.replace("\x00", "")[:_LONGEST]
