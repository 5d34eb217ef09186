"""The shipped nodule detector: ``python -m recipes.irregularities`` writes ``src/casewise/models/shipped/irregularities``.

Three networks from three seeds are trained on all of JSRT's films and averaged. What the table of the card says was measured by
``python -m benchmarks.irregularities``, which trains on four fifths of the patients and measures on the rest; run it first. The
probabilities are fitted to what those five detectors found (Platt), so that a finding's probability is the share of such findings
that are nodules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from benchmarks._irregularities_arms import BATCH, STEPS, crossed, examples_of, train
from benchmarks._irregularities_data import Radiograph, radiographs
from benchmarks._irregularities_table import outcomes
from benchmarks._statistics import paired_bootstrap
from casewise.detection.froc import RATES, sensitivity
from casewise.detection.fusion import Detection
from casewise.detection.training import spec
from casewise.models import Model
from recipes._common import Card, Row, prepare_machine, ship, told

ARM = "both"
SEEDS = (1, 2, 3)


def main() -> None:
    prepare_machine()
    films = radiographs()
    found = crossed(films)[ARM]
    slope, shift = calibration(films, found)
    told(f"log-odds × {slope:.3f} + {shift:.3f}")
    everything = list(range(len(films)))
    examples = examples_of(films, everything)
    members = [calibrated(train(films, everything, ARM, seed, examples), slope, shift) for seed in SEEDS]
    ship(joined(members), "irregularities", rows(films, found), CARD)


def rows(films: Sequence[Radiograph], found: Mapping[str, Sequence[Detection]]) -> list[Row]:
    results = outcomes(films, found)
    nodules = sum(len(film.nodules) for film in films)
    on = f"JSRT, five-fold, {len(films)} patients, {nodules} nodules, one network"
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


def joined(members: Sequence[Model]) -> Model:
    """One model whose answer is the members' mean."""
    described = spec(ARM)
    described = replace(described, network={**described.network, "members": len(members)})
    weights = {f"members.{n}.{name}": tensor for n, member in enumerate(members) for name, tensor in member.weights.items()}
    lineage = replace(members[0].lineage, settings={**members[0].lineage.settings, "seeds": list(SEEDS)})
    return Model("casewise-irregularities", described, weights, lineage)


CARD = Card(
    command="python -m benchmarks.irregularities && python -m recipes.irregularities",
    data=(
        "JSRT, 45 frontal films of 45 patients, 31 with one nodule each (free for research, with registration; cite "
        "Shiraishi 2000): the weights are for research alone",
        "Synthetic nodules, put into those films in training; none was in a film that was measured on",
    ),
    split=(
        f"Five folds by patient; {STEPS} steps of {BATCH} candidates. The weights shipped are the mean of three networks, trained "
        "on all 45 films in the same way, so what they find in these very films is no result. The regions in the folds came from "
        "the shipped lung model, which saw no film of JSRT. The same folds set the scale of the probabilities."
    ),
    fails=(
        "It hits one nodule in four at two false findings an image: published systems hit two in three. Do not rely on it.",
        "It does not tell whether a film has a nodule at all: the area under that curve is 0.56 to 0.63, hardly more than chance.",
        "Subtle nodules, small ones and those behind heart and diaphragm are mostly missed: benchmarks/results/irregularities.md.",
        "Its probability holds for a set in which two films of three have a nodule; where nodules are rare it is far too high.",
        "Pixels larger than 0.3 mm: a warning is told, and small nodules are lost. Pixels smaller than 0.14 mm: never measured.",
        "Films of other makers, digital ones, portable ones, children: not measured. One set of digitised films taught it.",
        "It knows round opacities; it does not tell a nodule from a nipple, a calcified one from another, or a lesion's kind.",
    ),
    limits="Made from 45 films of one source. No patient's care may rest on it.",
)

if __name__ == "__main__":
    main()
