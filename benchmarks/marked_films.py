"""Rows a film and network of what was marked, and tables of them: sensitivity at so many false marks a film, paired differences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.tables import measured, spread, table
from casewise.irregularities.box_fusion import Detection
from casewise.irregularities.froc import RATES, outcome
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


def froc(rows: Rows) -> Callable[[float | None, np.ndarray | None], float]:
    """(rate, numbers of those drawn, None for all) → sensitivity at ``rate`` false marks a film; for None the mean over ``RATES``.

    As :func:`casewise.irregularities.froc.sensitivity`, with one sort for all rates: it is asked thousands of times.
    """
    hits = [np.array(row["hits"]) for row in rows]
    misses = [np.array(row["misses"]) for row in rows]

    def value(rate: float | None = None, drawn: np.ndarray | None = None) -> float:
        numbers = range(len(rows)) if drawn is None else drawn
        own = np.concatenate([hits[n] for n in numbers])
        false = np.sort(np.concatenate([misses[n] for n in numbers]))[::-1]
        found = []
        for one in RATES if rate is None else (rate,):
            allowed = int(np.floor(one * len(numbers) + 1e-9))
            found.append((own > (false[allowed] if allowed < len(false) else -0.5)).mean() if len(own) else np.nan)
        return float(np.mean(found))

    return value


def film_auc(rows: Rows, drawn: np.ndarray | None = None) -> float:
    """Of a film's best mark, for whether it has a nodule."""
    chosen = rows if drawn is None else [rows[n] for n in drawn]
    truth = ["subtlety" in row for row in chosen]
    return auc([row["best"] for row in chosen], truth) if 0 < sum(truth) < len(truth) else 0.5


def titles(rates: Sequence[float | None]) -> list[str]:
    return [ALL if rate is None else f"{rate:g}" for rate in rates]


def cells(rows: Rows, rates: Sequence[float | None]) -> list[str]:
    """Sensitivities with their intervals by film."""
    value = froc(rows)
    return [spread(measured(lambda drawn, r=rate: value(r, drawn), len(rows)), ".3f", ".2f") for rate in rates]  # type: ignore[misc]


def auc_cell(rows: Rows) -> str:
    return spread(measured(lambda drawn: film_auc(rows, drawn), len(rows)), ".3f", ".2f")


def differences(
    by: Mapping[str, Rows], pairs: Sequence[tuple[str, str]], names: Mapping[str, str], rates: Sequence[float | None]
) -> str:
    """A table of paired differences, with intervals and p by film."""
    value = {name: froc(by[name]) for pair in pairs for name in pair}

    def cell(one: str, two: str, rate: float | None) -> str:
        def difference(drawn: np.ndarray | None) -> float:
            return float(np.nan_to_num(value[one](rate, drawn) - value[two](rate, drawn)))

        low, high, p = paired_bootstrap(difference, len(by[one]))
        return f"{difference(None):+.3f} ({low:+.3f} to {high:+.3f}), p {p:.3f}"

    lines = [[f"{names[one]} − {names[two]}", *(cell(one, two, rate) for rate in rates)] for one, two in pairs]
    return table(["difference of sensitivity at", *titles(rates)], lines)
