"""Bringing studies from another system: one way, whether it is a DICOM node or a DICOMweb service."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from casewise.errors import UnreadableImageError, UsageError
from casewise.exchange.association import AssociationError
from casewise.exchange.found import AwayError, Series, SourceError, Study
from casewise.exchange.moving import MoveTo
from casewise.exchange.node import Node, Peer
from casewise.exchange.node_source import NodeSource
from casewise.exchange.received import Spool
from casewise.exchange.source import Source
from casewise.exchange.taking import Fetched, Taker
from casewise.exchange.web import WebSource

AWAY = (AwayError, AssociationError)  # what says that a source does not answer
OF_SOURCE = (SourceError, AssociationError)  # what a source's methods raise
_TRIES = 3  # times that a series is asked for, while each brings more of it
_NAMED = 3  # missing instances that a reason names


def source_of(peer: Peer, own_title: str, move: MoveTo | None = None) -> Source:
    """A system as a source. own_title : how casewise calls itself to nodes. move : where a node is to send to, by C-MOVE; None: by
    C-GET. Raises UsageError where a service's secret is not there, and for ``move`` with a service.
    """
    if isinstance(peer, Node):
        return NodeSource(peer, own_title, move)
    if move is not None:
        raise UsageError(f"{peer} is a DICOMweb service, which is fetched from by WADO-RS; leave out --retrieve.")
    return WebSource(peer)


def fetch(source: Source, study: Study, series: Series, spool: Spool, arrived: Callable[[int], None]) -> Fetched:
    """Bring what the spool lacks of a series; what it has is not sent again. arrived : called with the number of
    instances that came.

    Raises FullError where the disk takes no more. What else goes wrong is the outcome's reason.
    """
    taker = Taker(str(source), study, series, spool.folder, arrived)
    try:
        listed = source.instances(study.uid, series.uid)
    except OF_SOURCE as error:
        return Fetched(len(spool.files(series.uid)), 0, series.instances, str(error), isinstance(error, AWAY))
    wanted, classes = [one.uid for one in listed], sorted({one.sop_class for one in listed} - {""})
    known = max(len(wanted), series.instances or 0)
    reason, away = None, False
    for _ in range(_TRIES):
        missing = _lacking(spool, series, wanted)
        if known and _is_whole(spool, series, known, missing):
            break
        before = len(taker.taken)
        try:
            # All of it is asked for at once, which every source can do, where nothing of it is there.
            reason, away = source.bring(taker, classes, missing if len(missing) < len(wanted) else ()), False
        except (*OF_SOURCE, UnreadableImageError) as error:
            reason, away = str(error), isinstance(error, AWAY)
        if taker.error is not None or len(taker.taken) == before or not known:
            break
    present, missing = len(spool.files(series.uid)), _lacking(spool, series, wanted)
    if taker.error is None and _is_whole(spool, series, known or 1, missing) and (known or reason is None):
        return Fetched(present, len(taker.taken), known or None)
    return Fetched(present, len(taker.taken), known or None, reason or _why(source, present, known, missing), away)


def _lacking(spool: Spool, series: Series, wanted: Sequence[str]) -> list[str]:
    return [uid for uid in wanted if not spool.path(series.uid, uid).exists()]


def _is_whole(spool: Spool, series: Series, known: int, missing: Sequence[str]) -> bool:
    return not missing and len(spool.files(series.uid)) >= known


def _why(source: Source, present: int, known: int, missing: Sequence[str]) -> str:
    if missing:
        more = f" and {len(missing) - _NAMED:,} more" if len(missing) > _NAMED else ""
        named = ", ".join(missing[:_NAMED]) + more
        return f"{source} did not send {len(missing):,} of {known:,} instances: {named}; run the same command again."
    if present < known:
        return f"{source} says that the series has {known:,} instances, and sent {present:,}."
    return f"{source} sent nothing of the series."
