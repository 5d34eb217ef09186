"""The shipped nodule detector: ``python -m recipes.irregularities`` writes ``src/casewise/models/shipped/irregularities``.

It is two networks that learnt synthetic nodules in NLM's films, one in the healthy alone, and the second look at what they mark,
with the thresholds from which it is reported. The second look is fitted to what the networks mark in JSRT's films, which they never
saw, and in normal films of other sites; what is measured comes from second looks fitted on other folds
(``python -m benchmarks.nodules``). The networks are the shipped ones; ``--networks`` trains them anew, for hours.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from casewise.chest.nodules.froc import RATES, sensitivity

from casewise.chest.nodules.false_positive_reduction import FalsePositiveReducer
from casewise.models import Model
from casewise.statistics import paired_bootstrap
from experiments.nodules.films import detector, films
from experiments.nodules.measured import CROSSED, clean, false_marks, film_auc, groups, measured, outcomes, reported
from experiments.nodules.networks import MEMBERS, first, together
from experiments.nodules.second_look import Row as FilmRow
from recipes._common import Recipe, Row, report, ship


def main(options: Namespace) -> None:
    model = together([first(member) for member in MEMBERS]) if options.networks else detector()
    found, judge = measured(films())
    report(f"marks where a film reaches {judge.film_from:.3f}, from {judge.mark_from:.3f} on")
    ship(with_judge(model, judge), "irregularities", rows(found[CROSSED]), options.output)


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


RECIPE = Recipe(
    __doc__, main, lambda parser: parser.add_argument("--networks", action="store_true", help="train the networks anew")
)

if __name__ == "__main__":
    RECIPE.run()
