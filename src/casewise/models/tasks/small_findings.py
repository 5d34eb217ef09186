"""Detectors of small findings: a map of marks, whose peaks are findings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import msgspec

from casewise.models.tasks.segmentation import Segmentation
from casewise.models.tasks.settings import own_settings


class SmallFindingsSettings(msgspec.Struct, frozen=True):
    """placing : by what a place is measured, its ``region`` or the ``lungs``. pixel_mm : of the pixels that it learnt from; 0 where
    they are unknown. film_from, mark_from : see :class:`casewise.models.networks.segment_detector.Reporting`.
    """

    placing: str = "region"
    pixel_mm: float = 0.0
    cues: int = 0
    film_from: float = 0.0
    mark_from: float = 0.0


@dataclass(frozen=True)
class SmallFindings(Segmentation):
    """Used by :mod:`casewise.irregularities`."""

    refusal: ClassVar[str] = "marks irregularities in segments; ask it by casewise.irregularities or casewise analyze."

    @cached_property
    def settings(self) -> SmallFindingsSettings:
        return own_settings(self.spec, SmallFindingsSettings)
