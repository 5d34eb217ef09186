"""The outbox: objects on their way to other systems, one row an object and a target.

A row is *waiting* until it is claimed for the time of a lease, and then *sending*. What the target says ends that: *sent*,
*waiting* again after a pause, or *dead*. A sender that is killed lets its leases run out, and another one claims its rows; the
target then gets an object twice, under the same UID, which is harmless. A sent row whose target was asked to commit to storing it
has a ``transaction_uid`` until the target's report comes; then it is *committed*, or waits again. All times are of the database's
clock.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa

from casewise.server.clock import now
from casewise.server.network_tables import outbox as table
from casewise.server.problems import ConflictError
from casewise.server.store import Store

STATES = ("waiting", "sending", "sent", "committed", "dead")
LEASE_SECONDS = 60.0
_AT_ONCE = 200  # rows of a claim
_LONGEST = 1000  # characters of a sentence that is kept
_CUT_OFF = "Sending it was cut off {} times: the machine may be short of memory, or the object may crash a library."


@dataclass(frozen=True)
class Row:
    """One object for one target, as it stood when it was read.

    tries : how often it was claimed since it was queued, or sent again by a person. run_after : when a waiting one is due, and when
    a report on storage commitment is no longer waited for. path : relative to the archive's folder. error : one sentence, also of
    the last try of a row that waits.
    """

    id: int
    target: str
    path: str
    sop_uid: str
    sop_class: str
    kind: str
    image_key: str | None
    series_uid: str | None
    result: int | None
    state: str
    superseded: bool
    tries: int
    run_after: float
    lease_until: float | None
    transaction_uid: str | None
    error: str | None
    created_by: str | None
    created: float
    changed: float


Rows = Sequence[Row]


class Outbox:
    """The rows of one store; any number of processes may use it at once.

    pauses : seconds before each further try; after the last one a row is dead. lease : seconds.
    """

    def __init__(self, store: Store, pauses: Sequence[float] = (), *, lease: float = LEASE_SECONDS) -> None:
        self.store, self.lease = store, lease
        self._pauses = tuple(pauses)

    def add(self, rows: Sequence[dict[str, Any]]) -> int:
        """Queue objects: target, path, sop_uid, sop_class, kind, image_key, series_uid, result and created_by of each.

        How many were not on their way yet. One that was queued for the target before stays as it is, unless it is dead; it is the
        newer result's where that came to the same.
        """
        with self.store.write() as connection:
            moment = now(connection)
            before = connection.scalar(_unsettled) or 0
            for row in rows:
                times = {"created": moment, "changed": moment, "run_after": moment}
                connection.execute(_queued(connection, {**row, **times}))
            return int(connection.scalar(_unsettled) or 0) - int(before)

    def supersede(self, rows: sa.ColumnElement[bool]) -> None:
        """Mark the rows of a condition."""
        with self.store.write() as connection:
            query = sa.update(table).where(rows, table.c.superseded.is_(False))
            connection.execute(query.values(superseded=True, changed=now(connection)))

    def get(self, number: int) -> Row | None:
        with self.store.read() as connection:
            row = connection.execute(sa.select(table).where(table.c.id == number)).one_or_none()
        return None if row is None else _row(row)

    def list(
        self, states: Collection[str] = (), image_key: str | None = None, after: int | None = None, limit: int = 100
    ) -> Sequence[Row]:
        """The newest first: those in ``states`` (all, where none are given) and of an image, older than the row ``after``."""
        query = sa.select(table).order_by(table.c.id.desc()).limit(limit)
        if states:
            query = query.where(table.c.state.in_(list(states)))
        if image_key is not None:
            query = query.where(table.c.image_key == image_key)
        if after is not None:
            query = query.where(table.c.id < after)
        with self.store.read() as connection:
            return [_row(row) for row in connection.execute(query)]

    def counts(self) -> dict[str, int]:
        """State → how many rows are in it, 0 of every other state."""
        with self.store.read() as connection:
            rows = connection.execute(sa.select(table.c.state, sa.func.count()).group_by(table.c.state)).all()
        return dict.fromkeys(STATES, 0) | {str(state): int(number) for state, number in rows}

    def waited(self) -> float:
        """Seconds since the oldest row that is neither sent nor dead was queued; 0 where there is none."""
        oldest = sa.select(sa.func.min(table.c.created)).where(table.c.state.in_(("waiting", "sending")))
        with self.store.read() as connection:
            since = connection.scalar(oldest)
            return 0.0 if since is None else max(0.0, now(connection) - float(since))

    def again(self, number: int) -> Row | None:
        """Send an object again now, as if it were new; None where there is no such row. Raises ConflictError for one that is being
        sent.
        """
        with self.store.write() as connection:
            moment = now(connection)
            fresh = {"state": "waiting", "tries": 0, "run_after": moment, "transaction_uid": None, "error": None, "changed": moment}
            done = connection.execute(sa.update(table).where(table.c.id == number, table.c.state != "sending").values(fresh))
        row = self.get(number)
        if row is not None and not done.rowcount:
            raise ConflictError(f"The object {number} is being sent right now; wait for its outcome.")
        return row

    def all_again(self, target: str | None = None) -> int:
        """Send all dead letters again now, or those of a target; how many."""
        dead = (table.c.state == "dead", *([table.c.target == target] if target is not None else []))
        with self.store.write() as connection:
            moment = now(connection)
            fresh = {"state": "waiting", "tries": 0, "run_after": moment, "error": None, "changed": moment}
            return connection.execute(sa.update(table).where(*dead).values(fresh)).rowcount

    def due(self) -> Sequence[str]:
        """The targets that rows are due for."""
        with self.store.read() as connection:
            query = sa.select(table.c.target).where(self._due(now(connection))).distinct().order_by(table.c.target)
            return [str(target) for target in connection.scalars(query)]

    def claim(self, target: str) -> Rows:
        """Due rows of a target, leased to the caller, each tried least first.

        Those whose sender was killed come one at a time when no other waits: if one of them did it, it does so to itself alone, and
        is dead after some times.
        """
        with self.store.write() as connection:
            moment = now(connection)
            mine = (table.c.target == target, self._due(moment))
            over = (*mine, table.c.state == "sending")
            error = _CUT_OFF.format(len(self._pauses) + 1)
            spent = sa.update(table).where(*over, table.c.tries > len(self._pauses))
            connection.execute(spent.values(state="dead", lease_until=None, error=error, changed=moment))
            order = sa.select(table.c.id).order_by(table.c.tries, table.c.id).with_for_update(skip_locked=True)
            chosen = list(connection.scalars(order.where(*mine, table.c.state == "waiting").limit(_AT_ONCE)))
            chosen = chosen or list(connection.scalars(order.where(*over).limit(1)))
            leased = {"state": "sending", "tries": table.c.tries + 1, "lease_until": moment + self.lease, "changed": moment}
            connection.execute(sa.update(table).where(table.c.id.in_(chosen)).values(leased))
            rows = connection.execute(sa.select(table).where(table.c.id.in_(chosen)).order_by(table.c.tries, table.c.id))
            return [_row(row) for row in rows]

    def extend(self, numbers: Collection[int], lease_until: float) -> float:
        """Extend the lease of rows that are still leased until ``lease_until``; until when it is now."""
        with self.store.write() as connection:
            until = now(connection) + self.lease
            mine = (table.c.id.in_(list(numbers)), table.c.state == "sending", table.c.lease_until == lease_until)
            connection.execute(sa.update(table).where(*mine).values(lease_until=until))
        return until

    def sent(self, row: Row, lease_until: float, message: str, transaction_uid: str | None = None, patience: float = 0) -> bool:
        """The target took the object; with a ``transaction_uid`` its report on storage commitment is awaited for ``patience``
        seconds. False where the lease was lost.
        """
        values = {"state": "sent", "transaction_uid": transaction_uid, "error": message or None}
        return self._settle(_leased(row, lease_until), values, patience)

    def refused(self, row: Row, lease_until: float, message: str) -> bool:
        """The target takes the object never."""
        return self._settle(_leased(row, lease_until), {"state": "dead", "error": message})

    def failed(self, row: Row, lease_until: float, message: str) -> bool:
        """Try again after a pause; dead after the last one."""
        return self._settle(_leased(row, lease_until), *self._after(row, message))

    def put_back(self, row: Row, lease_until: float, message: str, pause: float) -> bool:
        """The object was not tried after all."""
        values = {"state": "waiting", "tries": row.tries - 1, "error": message or None}
        return self._settle(_leased(row, lease_until), values, pause)

    def awaiting(self) -> Rows:
        """Sent rows whose report on storage commitment has not come in time."""
        with self.store.read() as connection:
            late = (table.c.state == "sent", table.c.transaction_uid.is_not(None), table.c.run_after <= now(connection))
            return [_row(row) for row in connection.execute(sa.select(table).where(*late).order_by(table.c.id).limit(_AT_ONCE))]

    def in_transaction(self, transaction_uid: str) -> Rows:
        """The rows whose report is awaited under this UID."""
        mine = (table.c.state == "sent", table.c.transaction_uid == transaction_uid)
        with self.store.read() as connection:
            return [_row(row) for row in connection.execute(sa.select(table).where(*mine).order_by(table.c.id))]

    def committed(self, row: Row) -> bool:
        """The target reported that it keeps the object."""
        return self._settle(_awaited(row), {"state": "committed", "transaction_uid": None, "error": None})

    def found(self, row: Row) -> bool:
        """No report came, but the target has the object."""
        return self._settle(_awaited(row), {"transaction_uid": None})

    def lost(self, row: Row, message: str) -> bool:
        """The target took the object and does not have it: it is sent again after a pause, or dead after the last one."""
        values, pause = self._after(row, message)
        return self._settle(_awaited(row), {**values, "transaction_uid": None}, pause)

    def wait_longer(self, row: Row, seconds: float) -> bool:
        """Neither a report came, nor can the target be asked now."""
        return self._settle(_awaited(row), {}, seconds)

    def _after(self, row: Row, message: str) -> tuple[dict[str, Any], float]:
        if row.tries > len(self._pauses):
            return {"state": "dead", "error": message}, 0.0
        return {"state": "waiting", "error": message}, self._pauses[row.tries - 1]

    def _settle(self, mine: tuple[sa.ColumnElement[bool], ...], values: dict[str, Any], pause: float = 0.0) -> bool:
        if values.get("error"):
            values = {**values, "error": str(values["error"]).replace("\x00", "")[:_LONGEST]}
        with self.store.write() as connection:
            moment = now(connection)
            values = {**values, "run_after": moment + pause, "lease_until": None, "changed": moment}
            return connection.execute(sa.update(table).where(*mine).values(values)).rowcount == 1

    def _due(self, moment: float) -> sa.ColumnElement[bool]:
        # A lease further ahead than any can be is from before the clock was set back: nobody has it.
        over = sa.or_(table.c.lease_until < moment, table.c.lease_until > moment + 10 * max(self.lease, LEASE_SECONDS))
        waiting = sa.and_(table.c.state == "waiting", table.c.run_after <= moment)
        return sa.or_(waiting, sa.and_(table.c.state == "sending", over))


def _leased(row: Row, lease_until: float) -> tuple[sa.ColumnElement[bool], ...]:
    """The row as it was claimed: after another claim the lease differs."""
    return (table.c.id == row.id, table.c.state == "sending", table.c.lease_until == lease_until)


def _awaited(row: Row) -> tuple[sa.ColumnElement[bool], ...]:
    return (table.c.id == row.id, table.c.state == "sent", table.c.transaction_uid == row.transaction_uid)


_unsettled = sa.select(sa.func.count()).where(table.c.state == "waiting")


def _queued(connection: sa.Connection, row: dict[str, Any]) -> Any:
    """``INSERT … ON CONFLICT DO UPDATE`` is each database's own."""
    from sqlalchemy.dialects import postgresql, sqlite

    insert = (sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert)(table).values(**row)
    new = {"state": "waiting", "tries": 0, "error": None, **{name: row[name] for name in ("path", "run_after", "changed")}}
    revived = {name: sa.case((table.c.state == "dead", value), else_=table.c[name]) for name, value in new.items()}
    newer = table.c.result.is_(None) if row["result"] is None else sa.func.coalesce(table.c.result, 0) < row["result"]
    current = {"superseded": sa.false(), "result": sa.literal(row["result"])}
    newest = {name: sa.case((newer, value), else_=table.c[name]) for name, value in current.items()}
    return insert.on_conflict_do_update(index_elements=["target", "sop_uid"], set_={**revived, **newest})


def _row(row: sa.Row[Any]) -> Row:
    return Row(**cast(Any, row)._mapping)


def located(folder: Path, row: Row) -> Path:
    """The object's file; ``folder`` : the archive's."""
    return folder / row.path
