"""Rows a film and network of what was marked, and tables of them: sensitivity at so many false marks a film, paired differences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.tables import measured, spread, table
from casewise.irregularities.box_fusion import Detection
from casewise.irregularities.froc import RATES, Outcome, outcome, sensitivity
from casewise.statistics import auc, paired_bootstrap
from experiments.nodules.films import Film

MOST = 40  # candidates a film that are kept
ALL = "mean of the four"
Row = Mapping[str, Any]
Rows = Sequence[Row]


def film_row(by: str, film: Film, found: Sequence[Detection]) -> dict[str, Any]:
    """by : the network. found : what it marked, in the image's pixels."""
    own = outcome(found, film.targets)
    about = {"subtlety": film.nodules[0].subtlety, "diameter_mm": film.nodules[0].diameter_mm} if film.nodules else {}
    best = round(max((one.probability for one in found), default=0.0), 5)
    misses = sorted((round(float(one), 5) for one in own.misses), reverse=True)[:MOST]
    return {"by": by, "film": film.name, **about, "hits": [round(float(h), 5) for h in own.hits], "misses": misses, "best": best}


def by_name(rows: Iterable[Row]) -> dict[str, Rows]:
    """network → its rows, in one order of films for all."""
    ordered = sorted(rows, key=lambda row: str(row["film"]))
    return {name: [row for row in ordered if row["by"] == name] for name in dict.fromkeys(row["by"] for row in ordered)}


def froc(rows: Rows, rate: float | None, drawn: np.ndarray | None = None) -> float:
    """Sensitivity at ``rate`` false marks a film, or the mean over ``RATES``."""
    chosen = rows if drawn is None else [rows[n] for n in drawn]
    every = [Outcome(np.array(row["hits"]), np.array(row["misses"])) for row in chosen]
    return float(np.mean([sensitivity(every, one) for one in (RATES if rate is None else (rate,))]))


def film_auc(rows: Rows, drawn: np.ndarray | None = None) -> float:
    """Of a film's best mark, for whether it has a nodule."""
    chosen = rows if drawn is None else [rows[n] for n in drawn]
    truth = ["subtlety" in row for row in chosen]
    return auc([row["best"] for row in chosen], truth) if 0 < sum(truth) < len(truth) else 0.5


def titles(rates: Sequence[float | None]) -> list[str]:
    return [ALL if rate is None else f"{rate:g}" for rate in rates]


def cells(rows: Rows, rates: Sequence[float | None]) -> list[str]:
    """Sensitivities with their intervals by film."""
    return [spread(measured(lambda drawn, r=rate: froc(rows, r, drawn), len(rows)), ".3f", ".2f") for rate in rates]  # type: ignore[misc]


def auc_cell(rows: Rows) -> str:
    return spread(measured(lambda drawn: film_auc(rows, drawn), len(rows)), ".3f", ".2f")


def differences(
    by: Mapping[str, Rows], pairs: Sequence[tuple[str, str]], names: Mapping[str, str], rates: Sequence[float | None]
) -> str:
    """A table of paired differences, with intervals and p by film."""
    lines = [[f"{names[one]} − {names[two]}", *(_difference(by[one], by[two], rate) for rate in rates)] for one, two in pairs]
    return table(["difference of sensitivity at", *titles(rates)], lines)


def _difference(one: Rows, two: Rows, rate: float | None) -> str:
    low, high, p = paired_bootstrap(lambda drawn: float(np.nan_to_num(froc(one, rate, drawn) - froc(two, rate, drawn))), len(one))
    return f"{froc(one, rate) - froc(two, rate):+.3f} ({low:+.3f} to {high:+.3f}), p {p:.3f}"
