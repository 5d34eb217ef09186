"""When a study is complete: a function of what is known of its series and of the time, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from casewise.exchange.settings import Receive

# Modalities whose instances are images each: nothing more belongs to one that is there.
PICTURES = frozenset({"CR", "DX", "ES", "GM", "IO", "MG", "OP", "PX", "RG", "US", "XC"})


@dataclass(frozen=True)
class Series:
    """A series that receives, or did.

    instances : of it that are here. first, last : when the first of this version and the newest came, in seconds since 1970.
    receiving : whether something of it came since it was last complete.
    """

    uid: str
    modality: str
    instances: int
    first: float
    last: float
    receiving: bool = True


def is_complete(
    study: Iterable[Series],
    times: Receive,
    now: float,
    *,
    sending: bool = False,
    expected: Mapping[str, int] | None = None,
    since: float = 0.0,
) -> bool:
    """Whether all that is to come of a study is here, as far as one can say.

    study : all its series that are here. sending : whether an association is open that has sent some of it. expected : series UID →
    instances, as the source says; None where it was not asked, or does not know the study. since : when this process began, as
    what would have come before that was not received.

    It is complete when nothing came for the time of ``times`` to any of its series and nobody is sending; at once where every
    series that the source names has as many instances as it says; and at the latest some time after the first instance, whatever
    comes.
    """
    series = list(study)
    open_ones = [one for one in series if one.receiving]
    if not open_ones:
        return False
    if _waited(min(one.first for one in open_ones), now) >= times.force_seconds:
        return True
    if expected and _has_all(series, expected):
        return True
    return not sending and all(_waited(max(one.last, since), now) >= _idle(one, times) for one in open_ones)


def _has_all(series: Iterable[Series], expected: Mapping[str, int]) -> bool:
    here = {one.uid: one.instances for one in series}
    return here.keys() <= expected.keys() and all(here.get(uid, 0) >= count for uid, count in expected.items())


def _idle(one: Series, times: Receive) -> float:
    return times.picture_idle_seconds if one.modality in PICTURES else times.idle_seconds


def _waited(moment: float, now: float) -> float:
    """Seconds since a moment. One ahead of the clock is from before it was set back, and counts as long past."""
    return now - moment if moment <= now else float("inf")
