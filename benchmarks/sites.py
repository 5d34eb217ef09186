"""Several sites, one after another: each order's Dice by site, and what 2, 4 and 8 annotated deployment cases bring, by patient.

Lungs over JSRT, Shenzhen and Montgomery, brain lesions over Pennsylvania, Shanghai and Ljubljana; each site in each place.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks import _sites_runs as runs
from benchmarks import driver
from benchmarks._sites_runs import COUNTS, PARENT
from benchmarks.tables import mean, shared, table
from casewise.statistics import paired_p
from casewise.training.curriculum import CHOICES, ORDERS
from experiments.splits import by_patient

Row = Mapping[str, Any]
REFERENCE = "random"
ARMS = ("first site alone", "pooled", *ORDERS, *(f"{how}, first site in between" for how in ORDERS))
ROLES = ("second", "first", "deployment")
NAMES = {"lungs": "Lungs: JSRT, Shenzhen, Montgomery", "lesions": "Brain lesions on FLAIR: Pennsylvania, Shanghai, Ljubljana"}


def units(options: Namespace) -> Iterator[driver.Unit]:
    return (driver.Unit(unit.name, partial(runs.run, unit)) for unit in runs.units())


def figures(units: driver.Rows) -> Mapping[str, Any]:
    rows = [row for of in units.values() for row in of["rows"]]
    tasks = {name: [row for row in rows if row["task"] == task] for task, name in NAMES.items()}
    parts = [f"## {name}\n\n{_site_table(of)}\n\n{_deployment_table(of)}\n" for name, of in tasks.items()]
    minutes = sum(of["seconds"] for of in units.values()) / 60
    return {"runs": runs, "units": len(units), "minutes": minutes, "parts": "\n".join(parts)}


def _site_table(rows: Sequence[Row]) -> str:
    lines = []
    for arm in ARMS:
        cells: list[object] = [arm]
        for role in ROLES:
            values, other = _values(rows, _arm(arm, role)), _values(rows, _arm(REFERENCE, role))
            cells += [_mean(values), "" if arm == REFERENCE else _p(values, other)]
        lines.append(cells)
    head = ["training", "second site", "change, p", "first site", "change, p", "deployment site, not trained on", "change, p"]
    count = len(_values(rows, _arm(REFERENCE, "second")))
    return f"{table(head, lines)}\n\n{count} patients; p against *{REFERENCE}*."


def _deployment_table(rows: Sequence[Row]) -> str:
    none, lines = _values(rows, _choice("none", 0)), []
    for how in CHOICES:
        cells: list[object] = [how]
        for count in COUNTS:
            values, other = _values(rows, _choice(how, count)), _values(rows, _choice("random", count))
            cells += [_mean(values), "" if how == "random" else _p(values, other)]
        lines.append(cells)
    head = ["chosen", *(cell for count in COUNTS for cell in (f"{count} cases", "change, p against random"))]
    about = f"Deployment, from *{PARENT}*, {len(none)} patients; without any annotated case {_mean(none)}:"
    return f"{about}\n\n{table(head, lines)}"


def _values(rows: Sequence[Row], chosen: Callable[[Row], bool]) -> dict[str, float]:
    return by_patient([row for row in rows if chosen(row)], "dice")


def _arm(arm: str, role: str) -> Callable[[Row], bool]:
    return lambda row: row["part"] == "sites" and row["arm"] == arm and row["role"] == role


def _choice(how: str, count: int) -> Callable[[Row], bool]:
    return lambda row: row["part"] == "deployment" and row["arm"] == how and row["count"] == count


def _mean(values: Mapping[str, float]) -> str:
    return mean(list(values.values()))


def _p(values: Mapping[str, float], other: Mapping[str, float]) -> str:
    first, second = shared(values, other)
    if len(first) < 2:
        return "–"
    change = float(np.mean(first) - np.mean(second))
    return f"{'−' if change < 0 else '+'}{abs(change):.3f}, {paired_p(first, second):.2g}"


BENCHMARK = driver.Benchmark("sites", __doc__, units, figures)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
