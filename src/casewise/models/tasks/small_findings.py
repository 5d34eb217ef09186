"""Detectors of small findings: a map of marks, whose peaks are findings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar

import msgspec

from casewise.models.tasks.segmentation import Segmentation
from casewise.models.tasks.settings import own_settings


class SmallFindingsSettings(msgspec.Struct, frozen=True):
    """placing : by what a place is measured, its ``region`` or the ``lungs``. regions : masks that it looks in; none of a chest
    radiograph, whose lungs and heart are found, and of the body. cues : weights of a second look at its marks; 0 without.

    film_from, mark_from : see :class:`casewise.models.networks.segment_detector.Reporting`. pixel_mm, enlarged, overlap, edges :
    how images are made ready and marks drawn (:class:`casewise.irregularities.scenes.Scale`).
    """

    placing: str = "region"
    regions: tuple[str, ...] = ()
    cues: int = 0
    film_from: float = 0.0
    mark_from: float = 0.0
    pixel_mm: float = 0.0
    enlarged: Annotated[float, msgspec.Meta(ge=0.8)] = 1.0
    overlap: Annotated[int, msgspec.Meta(ge=0)] = 0
    edges: tuple[float, float] = (8.0, 29.0)


@dataclass(frozen=True)
class SmallFindings(Segmentation):
    """Used by :mod:`casewise.irregularities`."""

    refusal: ClassVar[str] = (
        "marks irregularities in segments and outlines nothing by itself; give it to casewise analyze --model, or declare it as an "
        "application (docs/how-to/train-a-model.md)."
    )

    @cached_property
    def settings(self) -> SmallFindingsSettings:
        return own_settings(self.spec, SmallFindingsSettings)
