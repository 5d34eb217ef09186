"""The shipped nodule detector: ``python -m recipes.irregularities`` writes ``src/casewise/models/shipped/irregularities``.

Heads over a pretrained encoder and over the networks of drawn nodules (``recipes.drawn_nodules``) learn from all films; the second
look at what they mark, and the thresholds from which it is reported, are chosen by what heads mark that were trained without the
film's fold. What is measured comes from second looks that were chosen on other folds besides (``python -m benchmarks nodules``).
From nothing it takes about an hour on one core.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from casewise.chest.nodules.false_positive_reduction import FalsePositiveReducer
from casewise.irregularities.froc import RATES, sensitivity
from casewise.models import Model
from casewise.statistics import paired_bootstrap
from experiments.nodules.films import films
from experiments.nodules.measured import clean, false_marks, film_auc, founds, groups, measured, outcomes, reported, shipped_judge
from experiments.nodules.networks import crossed, whole_model
from experiments.nodules.second_look import Row as FilmRow
from recipes._common import Recipe, Row, report, ship

ARM = "both"


def main(options: Namespace) -> None:
    every = films()
    model = whole_model()
    found = founds(crossed(), ARM)
    judge = shipped_judge(every, found)
    report(f"marks where a film reaches {judge.film_from:.3f}, from {judge.mark_from:.3f} on")
    ship(with_judge(model, judge), "irregularities", rows(measured(every, found)), options.output)


def with_judge(model: Model, judge: FalsePositiveReducer) -> Model:
    described = replace(model.spec, network={**model.spec.network, **judge.settings()})
    return replace(model, spec=described, weights={**model.weights, **judge.tensors()})


def rows(found: Sequence[FilmRow]) -> list[Row]:
    made = []
    for name, here in groups(found):
        on = f"{name}, {len(here)} patients"
        if name == "JSRT, with a nodule":
            made.append(_row("nodules hit by a reported mark", on, reported, here))
        elif here and "without" in name:
            made += [
                _row("films without a mark", on, clean, here),
                _row("false marks a film", on, false_marks, here),
            ]
        elif name == "JSRT, all":
            made.append(_row("false marks a film", on, false_marks, here))
            for rate in RATES:
                what = f"sensitivity at {rate:g} false candidates a film"
                made.append(_row(what, on, lambda drawn, rate=rate: sensitivity(outcomes(drawn), rate), here))  # type: ignore[misc]
            made.append(_row("AUROC, film has a nodule", on, film_auc, here))
    return made


def _row(what: str, on: str, measure: Callable[[Sequence[FilmRow]], float], found: Sequence[FilmRow]) -> Row:
    low, high, _ = paired_bootstrap(lambda drawn: float(np.nan_to_num(measure([found[n] for n in drawn]))), len(found))
    return Row(what, on, measure(found), low, high)


RECIPE = Recipe(__doc__, main)

if __name__ == "__main__":
    RECIPE.run()
