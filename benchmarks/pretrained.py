"""The nodule detector's encoder: pretrained and left alone, pretrained and trained on, or from nothing.

The whole film reduced, by folds of patients: the same network learns from the same windows by the same steps with each encoder, and
is measured on JSRT's films of the fold that it did not learn from, by the marks before any second look. A row a film and encoder.
What took long is kept: a stopped run goes on.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping
from functools import partial
from operator import itemgetter
from typing import Any

from benchmarks import driver
from benchmarks.marked_films import auc_cell, by_name, cells, differences, film_row, froc, titles
from benchmarks.tables import table
from casewise.chest.nodules.films import candidates
from casewise.irregularities.detector import ready
from casewise.irregularities.froc import RATES
from casewise.irregularities.training import SETTINGS
from experiments.nodules import from_nothing
from experiments.nodules.films import films, prepared
from experiments.nodules.from_nothing import ENCODERS, FROZEN, NOTHING, TUNED, fold_network
from experiments.nodules.second_look import folds

FOLDS = range(1)  # of the page
NAMES = {FROZEN: "pretrained, left alone", TUNED: "pretrained, trained on", NOTHING: "from nothing"}
PAIRS = ((FROZEN, NOTHING), (TUNED, NOTHING), (FROZEN, TUNED))
EACH = (*RATES, None)


def units(options: Namespace) -> Iterator[driver.Unit]:
    for number in FOLDS:
        yield driver.Unit(f"fold {number}", partial(_rows, number))


def _rows(number: int) -> list[dict[str, Any]]:
    networks = {name: ready(fold_network(number, name)) for name in ENCODERS}
    rows = []
    for film in folds(films())[number]:
        if film.site == "JSRT":
            there = prepared(film)
            for name, network in networks.items():
                found = [] if there is None else [one.scaled(1 / there.enlarged) for one in candidates(there, network)[0]]
                rows.append(film_row(name, film, found))
    return rows


def figures(units: driver.Rows) -> Mapping[str, Any]:
    by = by_name(sorted((row for rows in units.values() for row in rows), key=itemgetter("film")))
    value = {name: froc(rows) for name, rows in by.items()}
    count = len(by[FROZEN])
    lines = [[NAMES[name], *cells(value[name], count, EACH), auc_cell(by[name])] for name in ENCODERS]
    return {
        "films": count,
        "nodules": sum("subtlety" in row for row in by[FROZEN]),
        "folds": len(units),
        "learnt": len(from_nothing.learnt_from(0)),
        "rates": from_nothing.RATES,
        "settings": SETTINGS,
        "steps": from_nothing.STEPS,
        "froc": table(["encoder", *titles(EACH), "film has a nodule, AUC"], lines),
        "differences": differences(value, count, PAIRS, NAMES, EACH),
    }


BENCHMARK = driver.Benchmark("pretrained", __doc__, units, figures)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
