"""The shipped nodule detector: ``python -m recipes.irregularities`` writes ``src/casewise/models/shipped/irregularities``.

It is the network that learnt synthetic nodules in NLM's films of healthy lungs, with the first layer of the one that sees native
segments and the whole image. It never saw a film of JSRT, on all of which ``python -m benchmarks.irregularities`` measured it. The
probabilities alone are fitted to what it found there (Platt), so that a finding's probability is the share of such findings that
are nodules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from benchmarks._irregularities_arms import BATCH, FIRST, first, unseen, widened
from benchmarks._irregularities_data import Radiograph, radiographs
from benchmarks._irregularities_table import outcomes
from benchmarks._statistics import paired_bootstrap
from casewise.detection.froc import RATES, sensitivity
from casewise.detection.fusion import Detection
from casewise.models import Model
from recipes._common import Card, Row, prepare_machine, ship, told

ARM, SEED = "both", 0


def main() -> None:
    prepare_machine()
    films = radiographs()
    found = unseen(films, SEED)[ARM]
    slope, shift = calibration(films, found)
    told(f"log-odds × {slope:.3f} + {shift:.3f}")
    ship(calibrated(widened(first(SEED), ARM), slope, shift), "irregularities", rows(films, found), CARD)


def rows(films: Sequence[Radiograph], found: Mapping[str, Sequence[Detection]]) -> list[Row]:
    results = outcomes(films, found)
    nodules = sum(len(film.nodules) for film in films)
    on = f"JSRT, unseen in training, {len(films)} patients, {nodules} nodules"
    made = []
    for rate in RATES:
        low, high, _ = paired_bootstrap(
            lambda drawn, rate=rate: np.nan_to_num(sensitivity([results[n] for n in drawn], rate)), len(films)
        )
        made.append(Row(f"sensitivity at {rate:g} false findings an image", on, sensitivity(results, rate), low, high))
    return made


def calibration(films: Sequence[Radiograph], found: Mapping[str, Sequence[Detection]]) -> tuple[float, float]:
    """Slope and shift of the log-odds after which they tell the share of findings that are nodules."""
    from sklearn.linear_model import LogisticRegression

    odds: list[float] = []
    right: list[bool] = []
    for film in films:
        for one in found[film.name]:
            near = any(np.hypot(one.row - t.row, one.column - t.column) <= t.reach for t in film.nodules)
            odds.append(log_odds(one.probability))
            right.append(near)
    fitted = LogisticRegression(C=100).fit(np.array(odds)[:, None], right)
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])


def log_odds(probability: float) -> float:
    kept = min(max(probability, 1e-6), 1 - 1e-6)
    return float(np.log(kept / (1 - kept)))


def calibrated(model: Model, slope: float, shift: float) -> Model:
    """The same network whose log-odds are ``slope`` times what they were, and ``shift`` more."""
    weights = dict(model.weights)
    weights["head.weight"] = weights["head.weight"] * slope
    weights["head.bias"] = weights["head.bias"] * slope + torch.tensor([0.0, shift])
    return replace(model, weights=weights)


CARD = Card(
    command="python -m benchmarks.irregularities && python -m recipes.irregularities",
    data=(
        "NLM's Shenzhen and Montgomery films without disease, 73 patients, public, with synthetic nodules put into them",
        "No film of JSRT; two numbers that make probabilities of its answers were fitted to what it found there",
    ),
    split=(
        f"{FIRST.steps} steps of {BATCH} crops. JSRT's 45 films, 31 with a nodule, were all measured on and none was learnt from. "
        "The regions there came from a network that saw no film of JSRT either."
    ),
    fails=(
        "It hits two nodules in five at two false findings an image: published systems hit two in three. Do not rely on it.",
        "It does not tell whether a film has a nodule at all: the area under that curve is 0.46, no better than chance.",
        "Half of what is relatively obvious is missed, and most that is subtle: benchmarks/results/irregularities.md.",
        "Its probability holds for a set in which two films of three have a nodule; where nodules are rare it is far too high.",
        "Pixels larger than 0.3 mm: a warning is told, and small nodules are lost. Pixels smaller than 0.14 mm: never measured.",
        "Digital films, portable ones, children: not measured. It learnt from drawn nodules and was measured on one set.",
        "It knows round opacities; it does not tell a nodule from a nipple, a calcified one from another, or a lesion's kind.",
    ),
    limits="Made from 73 films of two sources. No patient's care may rest on it.",
)

if __name__ == "__main__":
    main()
