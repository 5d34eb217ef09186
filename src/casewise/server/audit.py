"""The audit log: who saw, changed, sent or exported what, from where, and with what outcome. Rows are only ever added.

Each row's hash covers the row and the hash before it, so a row that is changed, removed or slipped in breaks the chain. The newest
hash stands apart, and the last of each day in ``audit-days.txt`` in the archive's folder, so that a tail cut off is noticed too;
copied elsewhere, that file lets nobody rewrite the days that it covers.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from casewise.server import store as tables
from casewise.server.store import Store

DAYS_FILE = "audit-days.txt"
_HEAD = "audit_head"  # in the table of the server's own values; also what writers of several processes wait for
_LONGEST = 500
_BATCH = 1000


@dataclass(frozen=True)
class Entry:
    """time : seconds since 1970. object : an archive's key, a user's name, a job's number; never a patient's name."""

    id: int
    time: float
    user: str
    address: str
    action: str
    object: str
    outcome: str


def record(store: Store, user: str, address: str, action: str, object: str = "", outcome: str = "done") -> None:
    """Add a row."""
    now = round(time.time(), 3)
    object = object[:_LONGEST]
    row = {"time": now, "user": user, "address": address, "action": action, "object": object, "outcome": outcome}
    with store.write() as connection:
        head = connection.scalar(sa.select(tables.meta.c.value).where(tables.meta.c.name == _HEAD).with_for_update()) or ""
        _close_day(store, connection, now)
        digest = _digest(head, now, user, address, action, object, outcome)
        connection.execute(sa.insert(tables.audit).values(**row, hash=digest))
        connection.execute(sa.update(tables.meta).where(tables.meta.c.name == _HEAD).values(value=digest))


def entries(
    store: Store,
    *,
    user: str | None = None,
    action: str | None = None,
    object: str | None = None,
    before: int | None = None,
    limit: int,
) -> list[Entry]:
    """The newest first. user, action, object : only rows that hold these letters there; ``before``: those with a smaller id."""
    audit = tables.audit
    wanted = sa.select(audit).order_by(audit.c.id.desc()).limit(limit)
    for column, value in ((audit.c.user, user), (audit.c.action, action), (audit.c.object, object)):
        if value is not None:
            wanted = wanted.where(column.icontains(value, autoescape=True))
    if before is not None:
        wanted = wanted.where(audit.c.id < before)
    with store.read() as connection:
        return [_entry(row) for row in connection.execute(wanted)]


def every_entry(store: Store) -> Iterator[Entry]:
    """All, the oldest first, without holding them in memory or a transaction open."""
    for row in _rows(store):
        yield _entry(row)


def verify(store: Store) -> tuple[int, str | None]:
    """How many rows there are, and one sentence on what was tampered with; None where nothing was."""
    head, count, days = "", 0, _days(store)
    for row in _rows(store):
        known = _digest(head, row.time, row.user, row.address, row.action, row.object, row.outcome)
        if row.hash != known:
            return count, f"The audit log was changed at or just before row {row.id} ({_day(row.time)})."
        head, count = row.hash, count + 1
        if days.pop(row.id, row.hash) != row.hash:
            return count, f"The audit log up to row {row.id} ({_day(row.time)}) is not the one that {DAYS_FILE} noted that day."
    with store.read() as connection:
        newest = connection.scalar(sa.select(tables.meta.c.value).where(tables.meta.c.name == _HEAD))
    if (newest or "") != head or days:
        return count, f"Rows are missing at the end of the audit log, after the {count:,} that are there."
    return count, None


def _close_day(store: Store, connection: sa.Connection, now: float) -> None:
    """Note the last row of a day that is over in the file of days."""
    audit = tables.audit
    last = connection.execute(sa.select(audit.c.id, audit.c.time, audit.c.hash).order_by(audit.c.id.desc()).limit(1)).first()
    if last is not None and _day(last.time) < _day(now):
        with (store.folder / DAYS_FILE).open("a", encoding="ascii") as file:
            file.write(f"{_day(last.time)} {last.id} {last.hash}\n")


def _days(store: Store) -> dict[int, str]:
    """Row → its hash, of the file of days. A line that is none counts as one of a row that is not there."""
    path = store.folder / DAYS_FILE
    if not path.exists():
        return {}
    noted = {}
    for number, line in enumerate(path.read_text(encoding="ascii", errors="replace").splitlines()):
        parts = line.split()
        if len(parts) == 3 and parts[1].isdecimal():
            noted[int(parts[1])] = parts[2]
        else:
            noted[-1 - number] = line
    return noted


def _rows(store: Store) -> Iterator[sa.Row[tuple[object, ...]]]:
    audit, last = tables.audit, 0
    while True:
        with store.read() as connection:
            rows = connection.execute(sa.select(audit).where(audit.c.id > last).order_by(audit.c.id).limit(_BATCH)).all()
        if not rows:
            return
        yield from rows
        last = rows[-1].id


def _digest(head: str, time: float, user: str, address: str, action: str, object: str, outcome: str) -> str:
    text = json.dumps([head, f"{time:.3f}", user, address, action, object, outcome], ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).date().isoformat()


def _entry(row: sa.Row[tuple[object, ...]]) -> Entry:
    return Entry(row.id, row.time, row.user, row.address, row.action, row.object, row.outcome)
