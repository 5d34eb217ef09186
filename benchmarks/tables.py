"""Markdown tables and their cells: means with intervals, differences with p."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from casewise.statistics import interval, paired_bootstrap, paired_p


def table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; no line end behind it."""
    lines = [head, ["---"] * len(head), *rows]
    texts = ["| " + " | ".join(map(str, line)) + " |" for line in lines]
    return "\n".join([texts[0], "|" + "---|" * len(head), *texts[2:]])


def mean(values: Sequence[float], form: str = ".3f", ends: str | None = None, dash: str = " to ") -> str:
    """The mean with its 95 % bootstrap interval, whose ends have the form ``ends``; a dash of nothing."""
    if not len(values):
        return "–"
    return spread((float(np.mean(values)), *interval(values)), form, ends, dash)


def spread(value: Sequence[float], form: str = ".3f", ends: str | None = None, dash: str = " to ") -> str:
    """``value (low to high)`` of these three."""
    middle, low, high = value
    return f"{middle:{form}} ({low:{ends or form}}{dash}{high:{ends or form}})"


def measured(measure: Callable[[np.ndarray], float], count: int) -> tuple[float, float, float]:
    """(value, 2.5 %, 97.5 %) of a measure of the numbers of those drawn; NaN counts as 0 in a draw."""
    low, high, _ = paired_bootstrap(lambda drawn: float(np.nan_to_num(measure(drawn))), count)
    return measure(np.arange(count)), low, high


def shared(first: Mapping[str, float], second: Mapping[str, float]) -> tuple[list[float], list[float]]:
    """The values of the patients who are in both, in one order."""
    both = sorted(set(first) & set(second))
    return [first[name] for name in both], [second[name] for name in both]


def p_of(first: Mapping[str, float], second: Mapping[str, float], least: int = 5, form: str = ".2g") -> str:
    """Wilcoxon's p by patient; a dash of fewer than ``least`` patients."""
    one, two = shared(first, second)
    return "–" if len(one) < least else format(paired_p(one, two), form)
