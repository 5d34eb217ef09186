"""The shipped tuberculosis classifier: ``python -m recipes.tuberculosis`` writes ``src/casewise/models/shipped/tuberculosis``.

Measured three ways: by folds within both sites, and from each site to the other, which is what a new hospital would see.
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from scipy.special import expit, logit

from casewise.case import Case
from casewise.models import Model
from casewise.training import Settings
from casewise.training.initial import Input, train_classifier
from experiments.cases import chest
from recipes._common import (
    Recipe,
    above_half_row,
    accuracy_row,
    auc_row,
    crossed,
    progress,
    scores_of,
    ship,
    two_class_calibration,
    with_calibration,
)

CLASSES = ("normal", "tuberculosis")
SETTINGS = Settings(steps=400, batch=8, rate=1e-3, validate_every=50, patience=4, device="cpu")
NORMALS = 0.2  # of a site that the model did not see, that may be above one half
RESULTS = Path(__file__).resolve().parents[1] / "benchmarks" / "results" / "tuberculosis.json"
INPUT = Input(size=128, channels=(16, 32, 64, 128))


def train(cases: Sequence[Case]) -> Model:
    return train_classifier(cases, CLASSES, "casewise-tuberculosis", input=INPUT, settings=SETTINGS, progress=progress)


def main(options: Namespace) -> None:
    sites = {"Shenzhen": chest("shenzhen"), "Montgomery": chest("montgomery")}
    cases = [case for site in sites.values() for case in site]
    scores = crossed(cases, train, scores_of)
    rows = [auc_row(scores, cases, CLASSES[1], f"both sites, five-fold, {len(cases)} patients")]
    rows.append(accuracy_row(scores, cases, rows[0].on))
    apart: list[dict[str, float]] = []
    apart_cases: list[Case] = []
    for learnt, asked in (("Shenzhen", "Montgomery"), ("Montgomery", "Shenzhen")):
        model = train(sites[learnt])
        answers = [scores_of(model, case) for case in sites[asked]]
        apart += answers
        apart_cases += sites[asked]
        on = f"{asked}, {len(sites[asked])} patients, by {learnt} alone"
        rows += [auc_row(answers, sites[asked], CLASSES[1], on), accuracy_row(answers, sites[asked], on)]
    slope, shift = two_class_calibration(apart, apart_cases, CLASSES[1], NORMALS)
    after = [{CLASSES[1]: _moved(score[CLASSES[1]], slope, shift)} for score in apart]
    for answers, said in ((apart, "as trained"), (after, "calibrated")):
        on = f"each site by the other alone, {said}"
        rows += [above_half_row(answers, apart_cases, CLASSES[1], name, on) for name in CLASSES]
    keep_rows(apart_cases, apart, after)
    ship(with_calibration(train(cases), slope, shift), "tuberculosis", rows, options.output)


def _moved(chance: float, slope: float, shift: float) -> float:
    chance = min(max(chance, 1e-6), 1 - 1e-6)
    return float(expit(slope * logit(chance) + shift))


def keep_rows(cases: Sequence[Case], before: Sequence[dict[str, float]], after: Sequence[dict[str, float]]) -> None:
    """Each film's probability by a model of the other site, as trained and calibrated."""
    kept = [
        {"film": case.name, "truth": case.category, "as_trained": round(a[CLASSES[1]], 4), "calibrated": round(b[CLASSES[1]], 4)}
        for case, a, b in zip(cases, before, after, strict=True)
    ]
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


RECIPE = Recipe(__doc__, main)

if __name__ == "__main__":
    RECIPE.run()
