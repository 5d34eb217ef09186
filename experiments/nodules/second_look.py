"""The second look and its thresholds, chosen on the films of four folds and measured on those of the fifth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from casewise.chest.nodules.false_positive_reduction import CANDIDATES, MOST, FalsePositiveReducer, cues
from casewise.chest.nodules.films import Marks, marks_among
from casewise.image import Box
from casewise.irregularities.box_fusion import Detection
from casewise.irregularities.froc import outcome
from experiments.nodules.films import Film

FOLDS = 5
STRENGTH = 1.0  # of the regression, for standardised cues
CLEAN = 0.7  # of the films without nodule, each site counting the same: the share that shall be given no mark
FALSE = 0.75  # false marks a film, at most, over all films


@dataclass(frozen=True)
class Found:
    """found : a film's candidates in the pixels of the array that the detector saw, which measure ``millimetres`` and of which
    there are ``enlarged`` an image's pixel. lungs : their boxes there.
    """

    found: list[Detection]
    lungs: dict[str, Box]
    millimetres: float
    enlarged: float = 1.0


Founds = Mapping[str, Found]


def folds(films: Sequence[Film]) -> list[list[Film]]:
    """Each folder's films, those with nodules by subtlety and those without, are spread over all."""

    def rank(film: Film) -> tuple[str, int, str]:
        return film.folder, film.nodules[0].subtlety if film.nodules else 0, film.name

    order = sorted(films, key=rank)
    return [order[start::FOLDS] for start in range(FOLDS)]


def rest(parts: Sequence[Sequence[Film]], number: int) -> list[Film]:
    return [film for other, part in enumerate(parts) if other != number for film in part]


def fitted(films: Sequence[Film], found: Founds) -> FalsePositiveReducer:
    """The second look learnt from the strongest candidates of ``films``; it reports all of them."""
    x, right = [], []
    for film in films:
        here = found[film.name]
        kept = sorted(here.found, key=lambda one: -one.probability)[:CANDIDATES]
        x.append(cues(kept, here.lungs, here.millimetres))
        right.append(np.array([_hits(one, film) for one in kept], bool))
    return regressed(np.concatenate(x), np.concatenate(right))


def regressed(x: np.ndarray, right: np.ndarray) -> FalsePositiveReducer:
    """A logistic regression of candidates' cues (n, cues) on whether each hits a nodule."""
    scaler = StandardScaler().fit(x)
    fit = LogisticRegression(C=STRENGTH, max_iter=1000).fit(scaler.transform(x), right)
    weights = fit.coef_[0] / scaler.scale_
    return FalsePositiveReducer(tuple(float(weight) for weight in weights), float(fit.intercept_[0] - weights @ scaler.mean_))


def _hits(one: Detection, film: Film) -> bool:
    return any(np.hypot(one.row - target.row, one.column - target.column) <= target.reach for target in film.targets)


def thresholds(films: Sequence[Film], said: Mapping[str, Sequence[Detection]]) -> tuple[float, float]:
    """(film_from, mark_from) for what a judge said of films that it was not fitted on.

    film_from : the least by which CLEAN of the films without nodule are given no mark. mark_from : the least by which there are at
    most FALSE false marks a film then.
    """
    without = [film for film in films if not film.nodules]
    best = {film.name: max((one.probability for one in said[film.name]), default=0.0) for film in films}
    names = sorted({film.site for film in without})
    sites = [np.array([best[film.name] for film in without if film.site == name]) for name in names]
    tried = sorted({0.0, *(best[film.name] for film in without)})
    film_from = next((t for t in tried if np.mean([(site <= t).mean() for site in sites]) >= CLEAN), tried[-1])
    film_from = float(np.nextafter(film_from, 1))
    displayed = [film for film in films if best[film.name] >= film_from]
    misses = [np.sort(outcome(_first(said[film.name]), film.targets).misses) for film in displayed]
    false = np.sort(np.concatenate([*misses, np.zeros(0)]))[::-1]
    allowed = int(FALSE * len(films))
    mark_from = float(np.nextafter(false[allowed], 1)) if allowed < len(false) else 0.0
    return film_from, min(mark_from, film_from)


def _first(said: Sequence[Detection]) -> list[Detection]:
    return sorted(said, key=lambda one: -one.probability)[:MOST]


def crossed(films: Sequence[Film], found: Founds) -> dict[str, list[Detection]]:
    """What is said of each film's candidates by a judge that was fitted on the other folds."""
    said: dict[str, list[Detection]] = {}
    parts = folds(films)
    for number, part in enumerate(parts):
        judge = fitted(rest(parts, number), found)
        said |= {film.name: _marks(film, found, judge).candidates for film in part}
    return said


def chosen(films: Sequence[Film], found: Founds) -> FalsePositiveReducer:
    """A judge fitted on ``films``, its thresholds chosen by folds within them."""
    film_from, mark_from = thresholds(films, crossed(films, found))
    return replace(fitted(films, found), film_from=film_from, mark_from=mark_from)


def _marks(film: Film, found: Founds, judge: FalsePositiveReducer) -> Marks:
    here = found[film.name]
    return marks_among(here.found, here.lungs, here.millimetres, judge)


@dataclass(frozen=True)
class Row:
    """One film by a judge that was neither fitted on it nor had its thresholds chosen with it; all that the tables need.

    nodule : row, column in pixels, diameter in mm, subtlety; None where there is none. hit : the highest probability of a candidate
    that hits it, −1 where none does. misses : those of the candidates that hit nothing. marks : what is reported, each with its
    row and column in the upright film, its probability, and whether it hits the nodule. shipped : the marks of the shipped judge,
    which was fitted on all films; no figure is made of them, they say what the application reports.
    """

    film: str
    site: str
    nodule: tuple[float, float, float, int] | None
    learnt_from: bool
    refused: bool
    film_from: float
    mark_from: float
    hit: float | None
    misses: tuple[float, ...]
    marks: tuple[tuple[float, float, float, bool], ...]
    shipped: tuple[tuple[float, float, float], ...]


def row(film: Film, found: Founds, judge: FalsePositiveReducer, shipped: FalsePositiveReducer, learnt_from: bool) -> Row:
    nodule = next(((one.row, one.column, one.diameter_mm, one.subtlety) for one in film.nodules), None)
    known = (film.name, film.site, nodule, learnt_from, film.name not in found, judge.film_from, judge.mark_from)
    if film.name not in found:
        return Row(*known, None if nodule is None else -1.0, (), (), ())
    said = _marks(film, found, judge)
    measured = outcome(said.candidates, film.targets)
    hit = float(measured.hits[0]) if len(measured.hits) else None
    marks = tuple((one.row, one.column, one.probability, _hits(one, film)) for one in said.reported)
    whole = tuple((one.row, one.column, one.probability) for one in _marks(film, found, shipped).reported)
    misses = tuple(float(one) for one in measured.misses)
    return Row(*known, hit, misses, marks, whole)
