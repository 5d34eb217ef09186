"""The nodules that ``irregularities`` reports.

The shipped networks, which saw no film with a real nodule, mark candidates by the application's own function. The second look at
them and the thresholds from which they are reported are chosen on four folds and measured on the fifth. Films: JSRT with and
without nodule, and normal ones of three other sites. One row a film.
"""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cache, partial
from typing import Any

from casewise.chest.nodules.froc import sensitivity

from benchmarks import driver
from benchmarks.tables import measured, spread, table
from casewise.chest.nodules.false_positive_reduction import CANDIDATES, MOST, FalsePositiveReducer
from experiments.nodules import second_look
from experiments.nodules.films import films
from experiments.nodules.measured import (
    ALONE,
    CROSSED,
    Rows,
    clean,
    false_marks,
    film_auc,
    groups,
    outcomes,
    reported,
    sites,
)
from experiments.nodules.measured import measured as film_rows
from experiments.nodules.second_look import Row

RATES = (0.25, 0.5, 1.0, 2.0, 4.0)
SUBTLETY = {1: "extremely subtle", 2: "very subtle", 3: "subtle", 4: "relatively obvious", 5: "obvious"}
SHIPPED = "shipped"


@cache
def _everything() -> tuple[dict[str, list[Row]], FalsePositiveReducer]:
    return film_rows(films())


def units(options: Namespace) -> Iterator[driver.Unit]:
    for protocol in (CROSSED, ALONE):
        yield driver.Unit(protocol, partial(_rows, protocol))
    yield driver.Unit(SHIPPED, lambda: asdict(_everything()[1]))


def _rows(protocol: str) -> list[dict[str, Any]]:
    return [rounded(asdict(one)) for one in _everything()[0][protocol]]


def figures(units: driver.Rows) -> Mapping[str, Any]:
    crossed, alone = ([read_row(one) for one in units[protocol]] for protocol in (CROSSED, ALONE))
    jsrt = [one for one in crossed if one.site == "JSRT"]
    fresh = {site: sum(one.site == site and not one.learnt_from for one in crossed) for site in sites()}
    return {
        "films": len(crossed),
        "jsrt": len(jsrt),
        "nodules": sum(one.nodule is not None for one in jsrt),
        "fresh": fresh,
        "learnt": sum(one.learnt_from for one in crossed),
        "CANDIDATES": CANDIDATES,
        "MOST": MOST,
        "look": second_look,
        "reported": reported_table(groups(crossed)),
        "reported_alone": reported_table(groups(alone)),
        "auc": with_interval(film_auc, jsrt),
        "froc": froc_table(jsrt),
        "kinds": kinds_table(jsrt),
        "shipped": units[SHIPPED],
    }


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
    kinds: dict[str, Callable[[tuple[float, float, float, int]], bool]] = {
        f"subtlety {level}, {name}": (lambda nodule, level=level: nodule[3] == level)  # type: ignore[misc]
        for level, name in SUBTLETY.items()
    }
    kinds |= {"under 15 mm": lambda nodule: nodule[2] < 15, "15 mm and over": lambda nodule: nodule[2] >= 15}
    lines = []
    for name, belongs in kinds.items():
        chosen = [any(mark[3] for mark in row.marks) for row in rows if row.nodule and belongs(row.nodule)]
        lines.append([name, f"{sum(chosen)} of {len(chosen)}"])
    return table(["nodules", "hit by a reported mark"], lines)


def sentence(rows: Sequence[Row]) -> str:
    """What README and docs say of them."""
    jsrt = [one for one in rows if one.site == "JSRT"]
    sick = [one for one in jsrt if one.nodule]
    value, low, high = measured(lambda drawn: reported([sick[n] for n in drawn]), len(sick))
    false = [false_marks(here) for _, here in groups(rows) if here]
    without = [(site, [one for one in rows if one.site == site and not one.nodule and not one.learnt_from]) for site in sites()]
    shares = ", ".join(f"{clean(here):.0%} of {len(here)} ({site})" for site, here in without)
    found = f"{value:.0%} of {len(sick)} nodules (95 % interval {100 * low:.0f} to {high:.0%})"
    marks = f"{false_marks(jsrt):.1f} false marks a film, at most {max(false):.1f} in any set"
    text = f"it hits {found} at {marks}. Of the films without nodule it gives no mark to {shares}."
    return re.sub(r"(\d)%", r"\1 %", text)


def kept() -> tuple[dict[str, list[Row]], dict[str, Any]]:
    """(rows by protocol, the shipped second look), as they are kept."""
    units = driver.read("nodules")["rows"]
    return {protocol: [read_row(one) for one in units[protocol]] for protocol in (CROSSED, ALONE)}, units[SHIPPED]


def read_row(one: dict[str, Any]) -> Row:
    nodule = None if one["nodule"] is None else tuple(one["nodule"])
    lists = {name: tuple(tuple(mark) for mark in one[name]) for name in ("marks", "shipped")}
    return Row(**{**one, **lists, "nodule": nodule, "misses": tuple(one["misses"])})


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    return round(value, 5) if isinstance(value, float) else value


BENCHMARK = driver.Benchmark("nodules", __doc__, units, figures)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
