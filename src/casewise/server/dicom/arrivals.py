"""What is known of received series: the tables ``arrivals`` and ``instances``, of which the received files are the truth.

A series goes from *receiving* to *complete* (its version grows by one, and a job takes it in) to *taken in* or *failed*. An
instance that comes later, or with other content, makes it *receiving* again. Any process may note what came: the receiver's, and
the server's for STOW-RS.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from casewise.errors import UsageError
from casewise.exchange.received import Instance
from casewise.exchange.settings import DicomSettings
from casewise.server.dicom import versions
from casewise.server.dicom.places import RECEIVED
from casewise.server.jobs import Jobs
from casewise.server.network_tables import arrivals as table
from casewise.server.network_tables import instances as held
from casewise.server.store import Store

PRIORITY = 2  # of what comes by the network: before imports and analyses of many cases, after what a person waits for
UNSAID = "received"  # the site of images whose sender has no name
_AT_ONCE = 300  # values that a query names one by one
_TRIES = 5
_T = TypeVar("_T")


class Arrivals:
    """``settings`` : the network's, for the sites of senders."""

    def __init__(self, store: Store, settings: DicomSettings) -> None:
        self.store = store
        self._jobs = Jobs(store)
        self._sites = {(sender.ae_title, sender.address): sender.site for sender in settings.senders if sender.site}

    def note(self, came: Sequence[Instance], at: float | None = None) -> None:
        """Note instances whose files are there. at : when they came, in seconds since 1970; None: when their files were written.

        One that is known with the same file changes nothing but the time at which its series was last heard of.
        """
        files = {}
        for instance in came:
            with suppress(OSError):  # somebody removed it
                files[instance.sop_uid] = (instance, instance.path.stat().st_mtime)
        by_series: dict[str, list[tuple[Instance, float]]] = {}
        for instance, written in files.values():
            by_series.setdefault(instance.series_uid, []).append((instance, written))
        for part in _parts(list(by_series.values()), _AT_ONCE):
            self._again(partial(self._note, several=part, at=at))

    def receiving(self) -> dict[str, list[sa.Row[Any]]]:
        """Study UID → all its series, of studies of which something came since they were last complete."""
        with self.store.read() as connection:
            open_ones = sa.select(table.c.study_uid).where(table.c.state == "receiving").distinct()
            return _by_study(connection.execute(sa.select(table).where(table.c.study_uid.in_(open_ones))))

    def complete(self, study: str, is_so: Callable[[Sequence[sa.Row[Any]]], bool]) -> int | None:
        """Count a study's series complete where ``is_so`` of its rows, and queue the job that takes them in, both or neither.

        Returns the job's number. None where it is not complete, as something came in between.
        """
        with self.store.write() as connection:
            rows = connection.execute(sa.select(table).where(table.c.study_uid == study).with_for_update()).all()
            if not is_so(rows):
                return None
            open_ones = (table.c.study_uid == study, table.c.state == "receiving")
            connection.execute(sa.update(table).where(*open_ones).values(state="complete", version=table.c.version + 1, error=None))
            order = _order(connection, study)
            return None if order is None else self._queue(connection, order)

    def queue_complete(self, *, waiting_for_room: bool = False) -> None:
        """Queue the jobs of studies that are complete and have none that waits or runs; a job that failed is run again.

        waiting_for_room : only of those whose job said why it cannot be done now.
        """
        query = sa.select(table.c.study_uid).where(table.c.state == "complete").distinct()
        if waiting_for_room:
            query = query.where(table.c.error.is_not(None))
        with self.store.read() as connection:
            studies = list(connection.scalars(query))
        for study in studies:
            with self.store.write() as connection:
                order = _order(connection, study)
                earlier = None if order is None else self._jobs.newest(order[0])
                if order is not None and earlier is None:
                    self._queue(connection, order)
            if earlier is not None and earlier.state in ("failed", "dead"):
                with suppress(UsageError):  # queued by somebody else just now
                    self._jobs.again(earlier.id)

    def held(self, objects: Sequence[tuple[str, str]]) -> set[str]:
        """Which of these (SOP class, SOP instance) UIDs were received and are there: their instance UIDs."""
        found: set[str] = set()
        for part in _parts(objects, _AT_ONCE):
            wanted = {uid: sop_class for sop_class, uid in part}
            with self.store.read() as connection:
                rows = connection.execute(sa.select(held).where(held.c.sop_uid.in_(list(wanted)))).all()
            ours = (row for row in rows if row.sop_class == wanted[row.sop_uid] and Path(row.path).is_relative_to(RECEIVED))
            found.update(row.sop_uid for row in ours if (self.store.folder / row.path).is_file())
        return found

    def set_expected(self, expected: dict[str, int]) -> None:
        """Keep how many instances the source has of each series."""
        with self.store.write() as connection:
            for uid, count in expected.items():
                connection.execute(sa.update(table).where(table.c.series_uid == uid).values(expected=count))

    def settled(self, series: Iterable[str]) -> set[str]:
        """Those of the series that are known and receive nothing."""
        found: set[str] = set()
        with self.store.read() as connection:
            for part in _parts(list(series), _AT_ONCE):
                query = sa.select(table.c.series_uid).where(table.c.series_uid.in_(part), table.c.state != "receiving")
                found.update(connection.scalars(query))
        return found

    def _queue(self, connection: sa.Connection, order: tuple[str, dict[str, Any]]) -> int:
        return self._jobs.add("receive", order[1], unique_key=order[0], priority=PRIORITY, within=connection)

    def _note(self, connection: sa.Connection, several: Sequence[list[tuple[Instance, float]]], at: float | None) -> None:
        came = [one for series in several for one in series]
        known = _known(connection, [instance.sop_uid for instance, _ in came])
        fresh = [one for one in came if known.get(one[0].sop_uid) != (one[0].series_uid, one[1])]
        for part in _parts(fresh, _AT_ONCE):
            connection.execute(sa.delete(held).where(held.c.sop_uid.in_([instance.sop_uid for instance, _ in part])))
            connection.execute(sa.insert(held), [self._row(instance, written) for instance, written in part])
        changed = {instance.series_uid for instance, _ in fresh}
        for series in several:
            self._series(connection, series, series[0][0].series_uid in changed, at)

    def _series(self, connection: sa.Connection, came: list[tuple[Instance, float]], changed: bool, at: float | None) -> None:
        newest = max(came, key=lambda one: one[1])[0]
        moments = [at] if at is not None else [written for _, written in came]
        mine = table.c.series_uid == newest.series_uid
        row = connection.execute(sa.select(table).where(mine)).one_or_none()
        count = sa.select(sa.func.count()).where(held.c.series_uid == newest.series_uid).scalar_subquery()
        about = {
            "calling_ae": newest.calling,
            "called_ae": newest.called,
            "address": newest.address,
            "site": self._site(newest),
            "modality": newest.modality,
            "study_uid": newest.study_uid,
            "instances": count,
        }
        if row is None:
            times = {"first": min(moments), "last": max(moments)}
            uid = newest.series_uid
            number = versions.newest(self.store.folder, uid)  # more than 0 where the tables were lost
            connection.execute(sa.insert(table).values(series_uid=uid, state="receiving", version=number, **about, **times))
        elif row.state == "receiving":
            connection.execute(sa.update(table).where(mine).values(last=max(row.last, *moments), **about))
        elif changed:
            times = {"first": min(moments), "last": max(moments)}
            connection.execute(sa.update(table).where(mine).values(state="receiving", error=None, **about, **times))

    def _site(self, instance: Instance) -> str:
        """Of the sender: as the settings say, else its AE title."""
        for address in (instance.address, None):
            found = self._sites.get((instance.calling, address))
            if found is not None:
                return found
        return instance.calling or UNSAID

    def _row(self, instance: Instance, written: float) -> dict[str, object]:
        return {
            "sop_uid": instance.sop_uid,
            "sop_class": instance.sop_class,
            "series_uid": instance.series_uid,
            "study_uid": instance.study_uid,
            "path": relative(instance.path, self.store.folder),
            "received": written,
        }

    def _again(self, action: Callable[[sa.Connection], None]) -> None:
        """One transaction, repeated where another process inserted the same rows in between."""
        for left in reversed(range(_TRIES)):
            try:
                with self.store.write() as connection:
                    action(connection)
                return
            except sa.exc.IntegrityError:
                if not left:
                    raise
                time.sleep(0.05)


def relative(path: Path, archive: Path) -> str:
    """A file's place as the tables have it: below the archive's folder, so that this can be moved; else whole."""
    return path.relative_to(archive).as_posix() if path.is_relative_to(archive) else str(path)


def _order(connection: sa.Connection, study: str) -> tuple[str, dict[str, Any]] | None:
    """(its unique key, its payload) of the job that takes in the complete series of a study; None where there is none."""
    rows = connection.execute(sa.select(table).where(table.c.study_uid == study, table.c.state == "complete")).all()
    if not rows:
        return None
    numbers = {row.series_uid: row.version for row in rows}
    title = "Take in 1 received series" if len(numbers) == 1 else f"Take in {len(numbers)} received series"
    mark = hashlib.blake2b(repr(sorted(numbers.items())).encode(), digest_size=12).hexdigest()
    return f"receive:{mark}", {"study": study, "versions": numbers, "title": title}


def _known(connection: sa.Connection, uids: Sequence[str]) -> dict[str, tuple[str, float]]:
    """SOP instance UID → (series UID, time at which the file was written)."""
    found: dict[str, tuple[str, float]] = {}
    for part in _parts(uids, _AT_ONCE):
        query = sa.select(held.c.sop_uid, held.c.series_uid, held.c.received).where(held.c.sop_uid.in_(part))
        found |= {uid: (series, float(written)) for uid, series, written in connection.execute(query)}
    return found


def _by_study(rows: Iterable[sa.Row[Any]]) -> dict[str, list[sa.Row[Any]]]:
    found: dict[str, list[sa.Row[Any]]] = {}
    for row in rows:
        found.setdefault(row.study_uid, []).append(row)
    return found


def _parts(values: Sequence[_T], size: int) -> list[Sequence[_T]]:
    return [values[first : first + size] for first in range(0, len(values), size)]
