"""The shipped tuberculosis detector: ``python -m recipes.tuberculosis`` writes ``src/casewise/models/shipped/tuberculosis``.

Measured from each site to the other, which is what a new hospital would see; ``python -m benchmarks tuberculosis`` compares.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.special import expit, logit

from casewise.models import Model
from experiments.cases import chest
from experiments.tuberculosis.detectors import CLASSES, crossed, detector, kept
from experiments.tuberculosis.films import SITES, without_nodule
from recipes._common import (
    Recipe,
    Row,
    Scores,
    above_half_row,
    accuracy_row,
    auc_row,
    mean_row,
    ship,
    two_class_calibration,
)

NORMALS = 0.2  # of each site that a model did not see, that may be above one half
ROUNDING = 0.05  # log-odds by which half precision may move a film
ILL = CLASSES[1]


def main(options: Namespace) -> None:
    rows: list[Row] = []
    apart: dict[str, Scores] = {}
    for learnt, asked in (SITES, SITES[::-1]):
        apart[asked] = [scores(chance) for chance in crossed(learnt, asked)]
        on = f"{asked.capitalize()}, {len(apart[asked])} patients, by {learnt.capitalize()} and NIH"
        rows += [auc_row(apart[asked], chest(asked), ILL, on), accuracy_row(apart[asked], chest(asked), on)]
    everyone = [case for site in apart for case in chest(site)]
    slope, shift = two_class_calibration([score for site in apart.values() for score in site], everyone, ILL, NORMALS)
    model = detector(SITES)
    unseen = [scores(chance) for chance in kept(model, "jsrt", without_nodule())]
    normal = {site: [score for score, case in zip(apart[site], chest(site), strict=True) if case.category != ILL] for site in apart}
    shift = lowered(slope, shift, [*normal.values(), unseen])
    for site, answers in apart.items():
        after = [{ILL: moved(score[ILL], slope, shift)} for score in answers]
        rows += [above_half_row(after, chest(site), ILL, name, f"{site.capitalize()}, by the other and NIH") for name in CLASSES]
    above = [float(moved(score[ILL], slope, shift) > 0.5) for score in unseen]
    rows.append(
        mean_row(f"share of normal above one half for {ILL}", f"JSRT, {len(above)} patients, by the shipped weights", above)
    )
    ship(calibrated(model, slope, shift), "tuberculosis", rows, options.output)


def lowered(slope: float, shift: float, sites: Sequence[Scores]) -> float:
    """The shift, lowered until at most ``NORMALS`` of each site's normal films, whose scores these are, are above one half."""
    odds = [[slope * logit(score[ILL]) + shift for score in site] for site in sites]
    highest = max(float(np.quantile(site, 1 - NORMALS, method="higher")) for site in odds)
    return shift - max(0.0, highest + ROUNDING)


def scores(chance: float) -> dict[str, float]:
    kept_within = min(max(chance, 1e-6), 1 - 1e-6)
    return {CLASSES[0]: 1 - kept_within, ILL: kept_within}


def moved(chance: float, slope: float, shift: float) -> float:
    return float(expit(slope * logit(chance) + shift))


def calibrated(model: Model, slope: float, shift: float) -> Model:
    """A detector whose log-odds are ``slope`` times what they were, plus ``shift``; in half precision but for its head."""
    weights = {name: value.half() for name, value in model.weights.items()}
    weights["head.weight"] = model.weights["head.weight"] * slope
    weights["head.bias"] = model.weights["head.bias"] * slope + shift
    return replace(model, weights=weights)


RECIPE = Recipe(__doc__, main)

if __name__ == "__main__":
    RECIPE.run()
