"""The shipped nodule detector: ``python -m recipes.irregularities`` writes ``src/casewise/models/shipped/irregularities``.

It is two networks that learnt synthetic nodules in NLM's films, one in the healthy alone, and the judge of their findings. The
networks never saw a film of JSRT, on all of which ``python -m benchmarks.irregularities`` measured them. The judge, nine numbers,
is fitted to what they found there; what is measured of it comes from judges fitted on the other folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmarks._irregularities_arms import BATCH, FIRST, MEAN, MEMBERS, first, folds, together, unseen
from benchmarks._irregularities_data import Radiograph, radiographs
from benchmarks._irregularities_judged import Found, fitted, judged
from benchmarks._irregularities_table import outcomes
from benchmarks._statistics import auc, paired_bootstrap
from casewise.detection.froc import RATES, sensitivity, threshold
from casewise.detection.judging import CUES, Judge
from casewise.models import Model
from recipes._common import Card, Row, prepare_machine, ship, told


def main() -> None:
    prepare_machine()
    films = radiographs()
    found = unseen(films)[MEAN]
    measured = judged(films, folds(films), found)
    told(f"two false findings an image above {threshold(outcomes(films, measured), 2.0):.3f}")
    model = with_judge(together([first(member) for member in MEMBERS]), fitted(films, found))
    ship(model, "irregularities", rows(films, measured), CARD)


def with_judge(model: Model, judge: Judge) -> Model:
    described = replace(model.spec, network={**model.spec.network, "cues": len(CUES)})
    return replace(model, spec=described, weights={**model.weights, **judge.tensors()})


def rows(films: Sequence[Radiograph], found: Found) -> list[Row]:
    results = outcomes(films, found)
    nodules = sum(len(film.nodules) for film in films)
    on = f"JSRT, unseen by the networks, {len(films)} patients, {nodules} nodules"
    made = []
    for rate in RATES:
        low, high, _ = paired_bootstrap(
            lambda drawn, rate=rate: np.nan_to_num(sensitivity([results[n] for n in drawn], rate)), len(films)
        )
        made.append(Row(f"sensitivity at {rate:g} false findings an image", on, sensitivity(results, rate), low, high))
    highest = np.array([max((one.probability for one in found[film.name]), default=0.0) for film in films])
    truth = np.array([bool(film.nodules) for film in films])
    low, high, _ = paired_bootstrap(lambda drawn: auc(highest[drawn], truth[drawn]) if truth[drawn].any() else 0.5, len(films))
    return [*made, Row("AUROC, film has a nodule", on, auc(highest, truth), low, high)]


CARD = Card(
    command="python -m recipes.irregularities",
    data=(
        "NLM's Shenzhen and Montgomery films, public, with synthetic nodules put into them: three in four of the 73 healthy for "
        "both networks, the 67 with tuberculosis for one",
        "No film of JSRT; the nine numbers of the judge, which makes probabilities of the networks' answers, were fitted to what "
        "they found there",
    ),
    split=(
        f"{FIRST.steps} steps of {BATCH} crops each; their log-odds are averaged. JSRT's 45 films, 31 with a nodule, were all "
        "measured on, each with a judge fitted on the other four folds. The regions there came from a network that saw no film "
        "of JSRT either."
    ),
    fails=(
        "At two false findings an image it misses one nodule in three; do not rely on it.",
        "Whether a film has a nodule at all is told little better than by chance: area under the curve 0.70 (0.51 to 0.86).",
        "What is very subtle is mostly missed; by subtlety and size: benchmarks/results/irregularities.md.",
        "Its probability holds for a set in which two films of three have a nodule; where nodules are rare it is far too high.",
        "The judge expects nodules where JSRT's are, away from the hila; one in a hilum or beside the mediastinum is told late.",
        "Pixels larger than 0.3 mm: a warning is told, and small nodules are lost. Pixels smaller than 0.14 mm: never measured.",
        "Digital films, portable ones, children: not measured. It learnt from drawn nodules and was measured on one set.",
        "It knows round opacities; it does not tell a nodule from a nipple, a calcified one from another, or a lesion's kind.",
    ),
    limits="Made from films of two sources. No patient's care may rest on it.",
)

if __name__ == "__main__":
    main()
