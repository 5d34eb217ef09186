"""The shipped tuberculosis detector: ``python -m recipes.tuberculosis`` writes ``src/casewise/models/shipped/tuberculosis``.

Measured from each site to the other, which is what a new hospital would see; ``python -m benchmarks tuberculosis`` compares.
"""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace

from scipy.special import expit, logit

from casewise.case import Case
from casewise.models import Model
from experiments.cases import chest
from experiments.tuberculosis.detectors import CLASSES, crossed, detector
from experiments.tuberculosis.films import SITES
from recipes._common import (
    Recipe,
    Row,
    Scores,
    above_half_row,
    accuracy_row,
    auc_row,
    report,
    ship,
    two_class_calibration,
)

NORMALS = 0.2  # of a site that the model did not see, that may be above one half
ILL = CLASSES[1]


def main(options: Namespace) -> None:
    rows: list[Row] = []
    apart: Scores = []
    asked_about: list[Case] = []
    for learnt, asked in (SITES, SITES[::-1]):
        answers = [scores(chance) for chance in crossed(learnt, asked)]
        on = f"{asked.capitalize()}, {len(answers)} patients, by {learnt.capitalize()} and NIH"
        rows += [auc_row(answers, chest(asked), ILL, on), accuracy_row(answers, chest(asked), on)]
        apart += answers
        asked_about += chest(asked)
        report(str(rows[-2]))
    slope, shift = two_class_calibration(apart, asked_about, ILL, NORMALS)
    after = [{ILL: _moved(score[ILL], slope, shift)} for score in apart]
    for answers, said in ((apart, "as trained"), (after, "calibrated")):
        on = f"each site by the other and NIH, {said}"
        rows += [above_half_row(answers, asked_about, ILL, name, on) for name in CLASSES]
    ship(calibrated(detector(SITES), slope, shift), "tuberculosis", rows, options.output)


def scores(chance: float) -> dict[str, float]:
    return {CLASSES[0]: 1 - chance, ILL: chance}


def _moved(chance: float, slope: float, shift: float) -> float:
    chance = min(max(chance, 1e-6), 1 - 1e-6)
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
