"""The region model refined for one chest radiograph on the films of an archive whose lungs are most like its own."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from casewise.adaptation.refinement import Plan, Refinement
from casewise.adaptation.similar import Usable, refine
from casewise.chest.region import LEFT_LUNG, RIGHT_LUNG, Regions
from casewise.errors import CasewiseError
from casewise.image import Image
from casewise.models.model import Model
from casewise.progress import Progress, silent
from casewise.result import SimilarCase

if TYPE_CHECKING:
    from casewise.archive import Archive


@dataclass(frozen=True, eq=False)
class AdaptedRegions:
    """regions : of the image, by the model that was chosen. reason : one sentence: which that was, and why.

    refinement : what came of it; None where nothing was trained on. similar : the cases looked at, most similar first.
    """

    regions: Regions
    reason: str
    refinement: Refinement | None = None
    similar: tuple[SimilarCase, ...] = ()


def region_plan(plan: Plan) -> Plan:
    """``plan`` for films of which some have no heart's outline; labels are fused for models that answer in voxels."""
    return replace(plan, settings=replace(plan.settings, partial=True), label_fusion=False)


@dataclass
class RegionAdapter:
    """Refines ``model`` for each image anew. Raises nothing for an archive without labelled lungs: the model is then left alone."""

    model: Model
    archive: Archive
    plan: Plan
    device: str
    progress: Progress = silent
    labelled: bool = field(init=False)

    def __post_init__(self) -> None:
        self.plan = region_plan(self.plan)
        self.labelled = self.archive.count(Usable(self.model, self.archive).where) > 0

    def outlined(self, image: Image) -> AdaptedRegions:
        """Raises CasewiseError, one sentence, for what is no frontal chest radiograph."""
        from casewise.chest import regions

        first = regions(image, self.device, model=self.model)
        lungs = lungs_of(first, image)
        if not lungs.any():
            return AdaptedRegions(
                first, "No lung was detected by which films could be compared, so the region model was used as it is."
            )
        done = refine(self.model, image, self.archive, plan=self.plan, region=lungs, progress=self.progress)
        if not done.refinement.used:
            return AdaptedRegions(first, done.refinement.reason, done.refinement, done.similar)
        try:
            second = regions(image, self.device, model=done.model)
        except CasewiseError:
            second = None
        if second is None or second.pose != first.pose or not set(first.found) <= set(second.found):
            reason = "The refined model did not detect all regions that its parent detects in this film, so its parent was used."
            return AdaptedRegions(first, reason, done.refinement, done.similar)
        return AdaptedRegions(second, done.refinement.reason, done.refinement, done.similar)


def lungs_of(regions: Regions, image: Image) -> npt.NDArray[np.bool_]:
    """(row, column) bool: both lungs, the region of interest by which chest radiographs are compared."""
    lungs = np.zeros(image.spatial_shape, bool)
    for name in (RIGHT_LUNG, LEFT_LUNG):
        if name in regions.by_place:
            lungs |= regions.by_place[name]
    return lungs
