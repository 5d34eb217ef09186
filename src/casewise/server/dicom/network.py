"""What the pages and measures say of the network: systems, arrivals, the outbox."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from casewise.exchange.node import Node, Peer
from casewise.exchange.settings import DicomSettings
from casewise.server.dicom.outbox_rows import Outbox, Row
from casewise.server.network_tables import arrivals
from casewise.server.schemas.dicom import ArrivalLine, ArrivalPage, NetworkState, ObjectLine, ObjectPage, SenderLine, SystemLine
from casewise.server.store import Store

ARRIVAL_STATES = ("receiving", "complete", "taken in", "failed")


@dataclass(frozen=True, eq=False)
class Network:
    """Of one archive. port : where the process beside the server receives; None where none does."""

    store: Store
    port: int | None = None

    @property
    def settings(self) -> DicomSettings:
        """As they stand now. Raises UsageError where they cannot be used."""
        return DicomSettings.load(self.store.folder)

    @property
    def outbox(self) -> Outbox:
        return Outbox(self.store)

    def state(self) -> NetworkState:
        settings = self.settings
        return NetworkState(
            ae_title=settings.ae_title,
            host=settings.host,
            port=self.port,
            senders=[SenderLine(ae_title=one.ae_title, address=one.address, site=one.site) for one in settings.senders],
            systems=[_system(name, peer, name in settings.results.send) for name, peer in settings.systems.items()],
            volumes=list(settings.results.volumes),
            radiographs=list(settings.results.radiographs),
            arrivals=self.arrival_counts(),
            outbox=self.outbox.counts(),
            oldest_seconds=self.outbox.waited(),
        )

    def arrival_counts(self) -> dict[str, int]:
        """State → how many series are in it, 0 of every other state."""
        query = sa.select(arrivals.c.state, sa.func.count()).group_by(arrivals.c.state)
        with self.store.read() as connection:
            found = {str(state): int(number) for state, number in connection.execute(query)}
        return dict.fromkeys(ARRIVAL_STATES, 0) | found

    def arrivals(self, states: Collection[str], after: str | None, limit: int) -> ArrivalPage:
        """The series to which something came last first. after : of the page before."""
        order = (arrivals.c.last.desc(), arrivals.c.series_uid.desc())
        query = sa.select(arrivals).order_by(*order).limit(limit + 1)
        if states:
            query = query.where(arrivals.c.state.in_(list(states)))
        before = _place(after)
        if before is not None:
            older = sa.and_(arrivals.c.last == before[0], arrivals.c.series_uid < before[1])
            query = query.where(sa.or_(arrivals.c.last < before[0], older))
        with self.store.read() as connection:
            rows = connection.execute(query).all()
        shown = rows[:limit]
        following = f"{shown[-1].last!r}-{shown[-1].series_uid}" if len(rows) > limit else None
        return ArrivalPage(arrivals=[_arrival(row) for row in shown], counts=self.arrival_counts(), next=following)

    def objects(self, states: Collection[str], case: str | None, after: int | None, limit: int) -> ObjectPage:
        """The newest first."""
        rows: Sequence[Row] = self.outbox.list(states, case, after, limit + 1)
        shown = rows[:limit]
        following = shown[-1].id if len(rows) > limit else None
        return ObjectPage(objects=[object_line(row) for row in shown], counts=self.outbox.counts(), next=following)


def object_line(row: Row) -> ObjectLine:
    return ObjectLine.model_validate(
        {
            **{name: getattr(row, name) for name in ("id", "target", "kind", "result", "state", "superseded", "tries", "error")},
            **{name: getattr(row, name) for name in ("created_by", "created", "changed")},
            "case": row.image_key,
            "awaiting": row.state == "sent" and row.transaction_uid is not None,
            "due": row.run_after if row.state == "waiting" else None,
        }
    )


def _system(name: str, peer: Peer, usual: bool) -> SystemLine:
    node = isinstance(peer, Node)
    return SystemLine(
        name=name,
        kind="dicom" if node else "web",
        address=str(peer),
        commitment=isinstance(peer, Node) and peer.commitment,
        usual=usual,
    )


def _arrival(row: Any) -> ArrivalLine:
    same = ("series_uid", "study_uid", "address", "site", "modality", "instances", "expected", "first", "last", "state", "version")
    return ArrivalLine.model_validate(
        {**{name: getattr(row, name) for name in same}, "sender": row.calling_ae, "cases": row.image_keys, "error": row.error}
    )


def _place(after: str | None) -> tuple[float, str] | None:
    """(time, UID) of a page's end; what is none of ours is passed over."""
    moment, _, uid = (after or "").partition("-")
    try:
        return (float(moment), uid) if uid else None
    except ValueError:
        return None
