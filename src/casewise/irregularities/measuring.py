"""How well a detector does on cases set aside, and the thresholds that are chosen on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from casewise.image import Box
from casewise.irregularities.box_fusion import Detection
from casewise.irregularities.detector import detect
from casewise.irregularities.examples import Example
from casewise.irregularities.froc import RATES, Outcome, Target, outcome, sensitivity, threshold
from casewise.irregularities.scenes import Scene
from casewise.irregularities.training import LEAST
from casewise.models.networks.segment_detector import SegmentDetector
from casewise.statistics import auc

CLEAN = 0.8  # of the images without irregularity that shall be given no mark
FALSE = 1.0  # false marks an image, where there is none without irregularity
EVEN = 0.5  # the threshold where nothing was set aside


@dataclass(frozen=True, eq=False)
class Measured:
    """One plane. case : key of the case. outcome : what its marks hit and missed. highest : probability of its likeliest mark."""

    case: str
    outcome: Outcome
    highest: float

    @property
    def without(self) -> bool:
        return not len(self.outcome.hits)


def measured_on(network: SegmentDetector, scene: Scene, example: Example, case: str, edges: tuple[float, float]) -> Measured:
    """Marks of a scene against its irregularities: one is hit by a mark whose centre lies within half of its longer edge, or within
    16 pixels.
    """
    found, _ = detect(network, scene.array, scene.segments, scene.where, edges=edges)
    targets = [_target(one.box) for one in example.irregularities]
    return Measured(case, outcome(found, targets), _highest(found))


def thresholds(measured: Sequence[Measured]) -> tuple[float, float]:
    """(film_from, mark_from): from which probability of its likeliest mark an image is given any, and which each must then reach.

    film_from is the least at which four fifths of the images without irregularity are given none; where there is no such image,
    the least with at most one false mark an image. mark_from leaves at most two false marks an image, and is no higher than
    film_from.
    """
    if not measured:
        return EVEN, EVEN
    outcomes = [one.outcome for one in measured]
    clean = sorted(_cases(measured, without=True).values())
    if clean:
        film_from = clean[min(len(clean) - 1, int(np.ceil(CLEAN * len(clean) - 1e-9)) - 1)] + 1e-4
    else:
        film_from = max(0.0, threshold(outcomes, FALSE) + 1e-4)
    film_from = float(min(film_from, 1.0))
    return film_from, float(min(film_from, max(0.0, threshold(outcomes, 2 * FALSE) + 1e-4)))


def measures(measured: Sequence[Measured], film_from: float) -> dict[str, float]:
    """``validation_sensitivity_at_0.5`` and so on: the share of irregularities that are hit at so many false marks an image;
    ``validation_auc``: of images with against those without, by their likeliest mark; ``validation_clean``: the share of those
    without that are given no mark. Only what can be measured.
    """
    outcomes = [one.outcome for one in measured]
    found: dict[str, float] = {}
    if any(len(one.hits) for one in outcomes):
        found |= {f"validation_sensitivity_at_{rate:g}": sensitivity(outcomes, rate) for rate in RATES}
        found["validation_irregularities"] = float(sum(len(one.hits) for one in outcomes))
    with_any, without = _cases(measured, without=False), _cases(measured, without=True)
    if with_any and without:
        found["validation_auc"] = auc([*with_any.values(), *without.values()], [*[True] * len(with_any), *[False] * len(without)])
    if without:
        found["validation_clean"] = float(np.mean([highest < film_from for highest in without.values()]))
    return found


def _cases(measured: Sequence[Measured], *, without: bool) -> dict[str, float]:
    """Case → probability of its likeliest mark; of those with or without irregularity."""
    with_any = {one.case for one in measured if not one.without}
    chosen: Callable[[str], bool] = (lambda key: key not in with_any) if without else (lambda key: key in with_any)
    found: dict[str, float] = {}
    for one in measured:
        if chosen(one.case):
            found[one.case] = max(found.get(one.case, 0.0), one.highest)
    return found


def _highest(found: Sequence[Detection]) -> float:
    return max((one.probability for one in found), default=0.0)


def _target(box: Box) -> Target:
    row, column = ((a + b) / 2 for a, b in zip(box.lower, box.upper, strict=True))
    return Target(row, column, max(LEAST, max(box.shape) / 2))
