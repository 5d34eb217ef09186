"""The nodules that ``irregularities`` reports.

Networks that were trained on four folds mark candidates in the films of the fifth by the application's own functions. The second
look at them and the thresholds from which they are reported are chosen on the four too. Films: JSRT with and without nodule, and
normal ones of three other sites. One row a film.
"""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks import driver
from benchmarks.marked_films import KINDS
from benchmarks.tables import measured, spread, table
from casewise import chest, formats
from casewise.chest.nodules.false_positive_reduction import CANDIDATES, MOST
from casewise.chest.nodules.films import film_of, marks
from casewise.irregularities.detector import ready
from casewise.irregularities.froc import sensitivity
from casewise.models import shipped
from experiments.nodules import second_look
from experiments.nodules.films import films
from experiments.nodules.measured import (
    Rows,
    clean,
    false_marks,
    film_auc,
    founds,
    groups,
    outcomes,
    reported,
    shipped_judge,
    sites,
)
from experiments.nodules.measured import measured as film_rows
from experiments.nodules.networks import crossed
from experiments.nodules.second_look import Found, Row

RATES = (0.25, 0.5, 1.0, 2.0, 4.0)
ARM, CROSSED, SHIPPED, APPLIED = "both", "crossed", "shipped", "applied"
APPLICATIONS = 6


@cache
def _found() -> dict[str, Found]:
    return founds(crossed(), ARM)


def units(options: Namespace) -> Iterator[driver.Unit]:
    yield driver.Unit(CROSSED, _rows)
    yield driver.Unit(SHIPPED, lambda: asdict(shipped_judge(films(), _found())))
    yield driver.Unit(APPLIED, _applied)


def _applied() -> list[dict[str, Any]]:
    """What the application reports of a few films: a test asks it again, so that the product stays what is measured."""
    network = ready(shipped.load("irregularities"))
    rows = []
    for film in films()[:: len(films()) // APPLICATIONS]:
        image = formats.read(film.path)
        said = marks(film_of(image, chest.regions(image, "cpu")), network)
        found = [(one.row, one.column, one.probability) for one in said.reported]
        rows.append({"film": film.name, "probability": said.film, "marks": found})
    return [rounded(row) for row in rows]


def _rows() -> list[dict[str, Any]]:
    return [rounded(asdict(one)) for one in film_rows(films(), _found())]


def figures(units: driver.Rows) -> Mapping[str, Any]:
    rows = [read_row(one) for one in units[CROSSED]]
    jsrt = [one for one in rows if one.site == "JSRT"]
    return {
        "films": len(rows),
        "jsrt": len(jsrt),
        "nodules": sum(one.nodule is not None for one in jsrt),
        "sites": {site: sum(one.site == site for one in rows) for site in sites()},
        "CANDIDATES": CANDIDATES,
        "MOST": MOST,
        "look": second_look,
        "reported": reported_table(groups(rows)),
        "auc": with_interval(film_auc, jsrt),
        "auc_all": with_interval(film_auc, rows),
        "calibration": calibration_table(rows),
        "froc": froc_table(jsrt),
        "kinds": kinds_table(jsrt),
        "shipped": units[SHIPPED],
    }


def calibration_table(rows: Rows) -> str:
    """Films by the probability that they have a nodule: how many do."""
    lines = []
    for low, high in pairwise((0.0, 0.2, 0.4, 0.6, 0.8, 1.0)):
        here = [row for row in rows if low <= row.film_probability < high + (high == 1)]
        mean = f"{np.mean([row.film_probability for row in here]):.2f}" if here else "–"
        lines.append([f"{low:g} to {high:g}", len(here), mean, sum(row.nodule is not None for row in here)])
    return table(["probability of any nodule", "films", "its mean", "with a nodule"], lines)


def with_interval(measure: Callable[[Rows], float], rows: Rows) -> str:
    return spread(measured(lambda drawn: measure([rows[n] for n in drawn]), len(rows)), ".2f")


def froc_table(rows: Rows) -> str:
    cells = [with_interval(lambda drawn, rate=rate: sensitivity(outcomes(drawn), rate), rows) for rate in RATES]  # type: ignore[misc]
    return table(["false candidates a film", *(f"{rate:g}" for rate in RATES)], [["sensitivity", *cells]])


def reported_table(groups: Sequence[tuple[str, Rows]]) -> str:
    lines = []
    for name, rows in groups:
        if rows:
            hit = with_interval(reported, [row for row in rows if row.nodule]) if any(row.nodule for row in rows) else "–"
            refused = sum(row.refused for row in rows)
            n = f"{len(rows)}" + (f", {refused} refused" if refused else "")
            lines.append([name, n, hit, with_interval(false_marks, rows), with_interval(clean, rows)])
    return table(["films", "n", "nodules hit", "false marks a film", "films without a mark"], lines)


def kinds_table(rows: Rows) -> str:
    """Hits of those there are, by subtlety and size."""
    lines = []
    for name, belongs in KINDS.items():
        chosen = [any(mark[3] for mark in row.marks) for row in rows if row.nodule and belongs(row.nodule[3], row.nodule[2])]
        lines.append([name, f"{sum(chosen)} of {len(chosen)}"])
    return table(["nodules", "hit by a reported mark"], lines)


def sentence(rows: Sequence[Row]) -> str:
    """What README and docs say of them."""
    jsrt = [one for one in rows if one.site == "JSRT"]
    sick = [one for one in jsrt if one.nodule]
    value, low, high = measured(lambda drawn: reported([sick[n] for n in drawn]), len(sick))
    false = [false_marks(here) for _, here in groups(rows) if here]
    without = [(site, [one for one in rows if one.site == site and not one.nodule]) for site in sites()]
    shares = ", ".join(f"{clean(here):.0%} of {len(here)} ({site})" for site, here in without)
    found = f"{value:.0%} of {len(sick)} nodules (95 % interval {100 * low:.0f} to {high:.0%})"
    marks = f"{false_marks(jsrt):.1f} false marks a film, at most {max(false):.1f} in any set"
    text = f"it hits {found} at {marks}. Of the films without nodule it gives no mark to {shares}."
    return re.sub(r"(\d)%", r"\1 %", text)


def kept() -> tuple[list[Row], dict[str, Any]]:
    """(the rows, the shipped second look), as they are kept."""
    units = driver.read("nodules")["rows"]
    return [read_row(one) for one in units[CROSSED]], units[SHIPPED]


def applied() -> list[dict[str, Any]]:
    """What the application reported of a few films when the page was made."""
    rows: list[dict[str, Any]] = driver.read("nodules")["rows"][APPLIED]
    return rows


def read_row(one: dict[str, Any]) -> Row:
    nodule = None if one["nodule"] is None else tuple(one["nodule"])
    return Row(**{**one, "marks": tuple(tuple(mark) for mark in one["marks"]), "nodule": nodule, "misses": tuple(one["misses"])})


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    return round(value, 5) if isinstance(value, float) else value


BENCHMARK = driver.Benchmark("nodules", __doc__, units, figures)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
