"""Detectors of small findings: a map of marks, whose peaks are findings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import msgspec

from casewise.models.tasks.segmentation import Segmentation
from casewise.models.tasks.settings import own_settings


class SmallFindingsSettings(msgspec.Struct, frozen=True):
    """cues : weights that the network brings for false-positive reduction; 0 without. film_from : the probability that a film's
    best candidate must reach for any to be reported; mark_from : what each must reach then.
    """

    cues: int = 0
    film_from: float = 0.0
    mark_from: float = 0.0


@dataclass(frozen=True)
class SmallFindings(Segmentation):
    """Used by :mod:`casewise.chest.nodules`."""

    @cached_property
    def settings(self) -> SmallFindingsSettings:
        return own_settings(self.spec, SmallFindingsSettings)
