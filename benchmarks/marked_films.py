"""Rows a film and network of what was marked, and tables of them: sensitivity at so many false marks a film, paired differences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from benchmarks.tables import measured, spread, table
from casewise.irregularities.box_fusion import Detection
from casewise.irregularities.froc import RATES, Outcome, outcome
from casewise.statistics import auc, paired_bootstrap
from experiments.nodules.films import Film

MOST = 40  # candidates a film that are kept
ALL = "mean of the four"
Row = Mapping[str, Any]
Rows = Sequence[Row]
# (rate, numbers of those drawn, None for all) → sensitivity at ``rate`` false marks a film; for None the mean over ``RATES``.
Froc = Callable[[float | None, np.ndarray | None], float]
SUBTLETY = {1: "extremely subtle", 2: "very subtle", 3: "subtle", 4: "relatively obvious", 5: "obvious"}
# of nodules, name → (subtlety, mm) → whether one is of it
KINDS: Mapping[str, Callable[[int, float], bool]] = {
    **{f"subtlety {level}, {name}": lambda own, _, level=level: own == level for level, name in SUBTLETY.items()},
    "up to 10 mm": lambda _, size: size <= 10,
    "over 10, under 20 mm": lambda _, size: 10 < size < 20,
    "20 mm and over": lambda _, size: size >= 20,
}


def film_row(by: str, film: Film, found: Sequence[Detection]) -> dict[str, Any]:
    """by : the network. found : what it marked, in the image's pixels."""
    own = outcome(found, film.targets)
    about = {"subtlety": film.nodules[0].subtlety, "diameter_mm": film.nodules[0].diameter_mm} if film.nodules else {}
    best = round(max((one.probability for one in found), default=0.0), 5)
    misses = sorted((round(float(one), 5) for one in own.misses), reverse=True)[:MOST]
    return {"by": by, "film": film.name, **about, "hits": [round(float(h), 5) for h in own.hits], "misses": misses, "best": best}


def by_name(rows: Iterable[Row]) -> dict[str, Rows]:
    """network → its rows, for all in the order in which the films first come."""
    every = list(rows)
    place = {film: number for number, film in enumerate(dict.fromkeys(row["film"] for row in every))}
    every.sort(key=lambda row: place[row["film"]])
    return {name: [row for row in every if row["by"] == name] for name in dict.fromkeys(row["by"] for row in every)}


def outcomes(rows: Rows) -> list[Outcome]:
    return [Outcome(np.array(row["hits"], float), np.array(row["misses"], float)) for row in rows]


def froc(*networks: Rows) -> Froc:
    """The mean over networks' rows of the same films.

    As :func:`casewise.irregularities.froc.sensitivity`, with one sort for all rates and draws, and each draw looked at once: it is
    asked thousands of times, for each rate and each pair of networks about the same draws.
    """
    several = [_Sorted.of(outcomes(rows)) for rows in networks]

    def value(rate: float | None = None, drawn: np.ndarray | None = None) -> float:
        rates = RATES if rate is None else (rate,)
        return float(np.mean([own.sensitivity(one, drawn) for own in several for one in rates]))

    return value


@dataclass(frozen=True, eq=False)
class _Sorted:
    """Of all films' marks: probabilities of the hits and (the greatest first) of the misses, and the numbers of their films."""

    films: int
    hits: np.ndarray
    hit_films: np.ndarray
    misses: np.ndarray
    miss_films: np.ndarray
    known: dict[tuple[float, bytes], float] = field(default_factory=dict)

    @classmethod
    def of(cls, films: Sequence[Outcome]) -> _Sorted:
        hits, misses = (np.concatenate([getattr(one, name) for one in films]) for name in ("hits", "misses"))
        numbers = np.arange(len(films))
        of_hits, of_misses = (np.repeat(numbers, [len(getattr(one, name)) for one in films]) for name in ("hits", "misses"))
        order = np.argsort(-misses, kind="stable")
        return cls(len(films), hits, of_hits, misses[order], of_misses[order])

    def sensitivity(self, rate: float, drawn: np.ndarray | None) -> float:
        """At so many misses a film, of the films with these numbers, each as often as it was drawn; NaN without a nodule."""
        draw = b"" if drawn is None else drawn.tobytes()
        if (rate, draw) not in self.known:
            rates = RATES if rate in RATES else (rate,)
            self.known.update({(one, draw): value for one, value in zip(rates, self._sensitivities(rates, drawn), strict=True)})
        return self.known[rate, draw]

    def _sensitivities(self, rates: Sequence[float], drawn: np.ndarray | None) -> Iterator[float]:
        times = np.ones(self.films, int) if drawn is None else np.bincount(drawn, minlength=self.films)
        missed, found = np.cumsum(times[self.miss_films]), times[self.hit_films]
        for rate in rates:
            allowed = int(np.floor(rate * times.sum() + 1e-9))
            place = int(np.searchsorted(missed, allowed, side="right"))
            least = self.misses[place] if place < len(missed) else -0.5
            yield float(found[self.hits > least].sum() / found.sum()) if found.sum() else np.nan


def film_auc(rows: Rows, drawn: np.ndarray | None = None) -> float:
    """Of a film's best mark, for whether it has a nodule."""
    chosen = rows if drawn is None else [rows[n] for n in drawn]
    truth = ["subtlety" in row for row in chosen]
    return auc([row["best"] for row in chosen], truth) if 0 < sum(truth) < len(truth) else 0.5


def titles(rates: Sequence[float | None]) -> list[str]:
    return [ALL if rate is None else f"{rate:g}" for rate in rates]


def cells(value: Froc, films: int, rates: Sequence[float | None]) -> list[str]:
    """Sensitivities with their intervals by film, of so many."""
    return [spread(measured(partial(value, rate), films), ".3f", ".2f") for rate in rates]


def auc_cell(rows: Rows) -> str:
    return spread(measured(lambda drawn: film_auc(rows, drawn), len(rows)), ".3f", ".2f")


def differences(
    value: Mapping[str, Froc],
    films: int,
    pairs: Sequence[tuple[str, str]],
    names: Mapping[str, str],
    rates: Sequence[float | None],
) -> str:
    """A table of paired differences, with intervals and p by film, of so many that all were asked about in one order."""

    def cell(one: str, two: str, rate: float | None) -> str:
        def difference(drawn: np.ndarray | None) -> float:
            apart = value[one](rate, drawn) - value[two](rate, drawn)
            return 0.0 if np.isnan(apart) else apart

        low, high, p = paired_bootstrap(difference, films)
        return f"{difference(None):+.3f} ({low:+.3f} to {high:+.3f}), p {p:.3f}"

    lines = [[f"{names[one]} − {names[two]}", *(cell(one, two, rate) for rate in rates)] for one, two in pairs]
    return table(["difference of sensitivity at", *titles(rates)], lines)
