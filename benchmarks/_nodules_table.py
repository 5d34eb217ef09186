"""What the benchmark of reported nodules prints, from its rows alone: FROC, and what is reported at the shipped rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from casewise.chest.nodules.froc import sensitivity
from casewise.statistics import paired_bootstrap
from experiments.nodules.measured import Rows, clean, false_marks, outcomes, reported

RATES = (0.25, 0.5, 1.0, 2.0, 4.0)
_SUBTLETY = {1: "extremely subtle", 2: "very subtle", 3: "subtle", 4: "relatively obvious", 5: "obvious"}
Measure = Callable[[Rows], float]


def with_interval(measure: Measure, rows: Rows) -> str:
    low, high, _ = paired_bootstrap(lambda drawn: np.nan_to_num(measure([rows[n] for n in drawn])), len(rows))
    return f"{measure(rows):.2f} ({low:.2f} to {high:.2f})"


def froc_table(rows: Rows) -> list[str]:
    lines = ["| false candidates a film | " + " | ".join(f"{rate:g}" for rate in RATES) + " |", "|---|" + "---|" * len(RATES)]
    cells = [with_interval(lambda drawn, rate=rate: sensitivity(outcomes(drawn), rate), rows) for rate in RATES]  # type: ignore[misc]
    return [*lines, "| sensitivity | " + " | ".join(cells) + " |"]


def reported_table(groups: Sequence[tuple[str, Rows]]) -> list[str]:
    lines = ["| films | n | nodules hit | false marks a film | films without a mark |", "|---|---|---|---|---|"]
    for name, rows in groups:
        if not rows:
            continue
        hit = with_interval(reported, [row for row in rows if row.nodule]) if any(row.nodule for row in rows) else "–"
        refused = sum(row.refused for row in rows)
        n = f"{len(rows)}" + (f", {refused} refused" if refused else "")
        lines.append(f"| {name} | {n} | {hit} | {with_interval(false_marks, rows)} | {with_interval(clean, rows)} |")
    return lines


def kinds_table(rows: Rows) -> list[str]:
    """Hits of those there are, by subtlety and size."""
    groups: dict[str, Callable[[tuple[float, float, float, int]], bool]] = {
        f"subtlety {level}, {name}": (lambda nodule, level=level: nodule[3] == level)  # type: ignore[misc]
        for level, name in _SUBTLETY.items()
    }
    groups |= {"under 15 mm": lambda nodule: nodule[2] < 15, "15 mm and over": lambda nodule: nodule[2] >= 15}
    lines = ["| nodules | hit by a reported mark |", "|---|---|"]
    for name, belongs in groups.items():
        chosen = [any(mark[3] for mark in row.marks) for row in rows if row.nodule and belongs(row.nodule)]
        lines.append(f"| {name} | {sum(chosen)} of {len(chosen)} |")
    return lines
