"""The shipped nodule detector: ``python -m recipes.irregularities`` writes ``src/casewise/models/shipped/irregularities``.

It is two networks that learnt synthetic nodules in NLM's films, one in the healthy alone, and the second look at what they mark,
with the thresholds from which it is reported. The second look is fitted to what the networks mark in JSRT's films, which they never
saw, and in normal films of other sites; what is measured comes from second looks fitted on other folds
(``python -m benchmarks.nodules``). The networks are the shipped ones; ``--networks`` trains them anew, for hours.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from casewise.chest.nodules.false_positive_reduction import Judge
from casewise.chest.nodules.froc import RATES, sensitivity
from casewise.models import Model
from casewise.statistics import paired_bootstrap
from experiments.nodules.films import detector, films
from experiments.nodules.measured import CROSSED, clean, false_marks, film_auc, groups, measured, outcomes, reported
from experiments.nodules.networks import BATCH, FIRST, MEMBERS, first, together
from experiments.nodules.second_look import Row as FilmRow
from recipes._common import Card, Row, prepare_machine, ship, told


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--networks", action="store_true", help="train the networks anew")
    model = together([first(member) for member in MEMBERS]) if asked.parse_args().networks else detector()
    prepare_machine()
    found, judge = measured(films())
    told(f"marks where a film reaches {judge.film_from:.3f}, from {judge.mark_from:.3f} on")
    ship(with_judge(model, judge), "irregularities", rows(found[CROSSED]), CARD)


def with_judge(model: Model, judge: Judge) -> Model:
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
    low, high, _ = paired_bootstrap(lambda drawn: np.nan_to_num(measure([found[n] for n in drawn])), len(found))
    return Row(what, on, measure(found), low, high)


CARD = Card(
    command="python -m recipes.irregularities",
    data=(
        "NLM's Shenzhen and Montgomery films, public, with synthetic nodules put into them: three in four of the 73 healthy for "
        "both networks, the 67 with tuberculosis for one",
        "The second look (nine numbers and two thresholds) alone: what the networks mark in 148 films of JSRT, 11 of NIH "
        "ChestX-ray14 without finding, and the healthy of Shenzhen and Montgomery that they did not learn from",
    ),
    split=(
        f"{FIRST.steps} steps of {BATCH} crops each; their log-odds are averaged. Every film was measured with a second look and "
        "thresholds chosen on the other four folds; the page of the benchmark has all tables, its JSON one row a film "
        "(benchmarks/results/nodules.md). The shipped model outlined lungs and heart; it learnt from some of these films."
    ),
    fails=(
        "It sees 0.7 mm a pixel, whatever the film's own pixels measure; no native pixel reaches it.",
        "It misses nearly half of the nodules; a film without a mark is no film without a nodule.",
        "Whether a film has a nodule at all is detected poorly: area under the curve 0.74.",
        "What is very subtle is mostly missed; by subtlety and size: benchmarks/results/nodules.md.",
        "Its probability holds for a set in which three films of five have a nodule; where nodules are rare it is far too high.",
        "The second look expects nodules where JSRT's are, away from the hila; one in a hilum or beside the mediastinum ranks low.",
        "Pixels larger than 1 mm: a warning is given, and small nodules are lost.",
        "Digital films, portable ones, children: not measured. It learnt from drawn nodules and was measured on those of one set.",
        "It knows round opacities; it does not tell a nodule from a nipple, a calcified one from another, or a lesion's kind.",
    ),
    limits="Made from films of four sources. No patient's care may rest on it.",
)

if __name__ == "__main__":
    main()
