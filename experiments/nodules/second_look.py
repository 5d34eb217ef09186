"""The second look and its thresholds, chosen on the films of four folds and measured on those of the fifth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from casewise.chest.nodules.false_positive_reduction import CANDIDATES, MOST, FalsePositiveReducer, cues, log_odds
from casewise.chest.nodules.films import Marks, marks_among
from casewise.image import Box
from casewise.irregularities.box_fusion import Detection
from casewise.irregularities.froc import outcome
from casewise.probability import logistic
from experiments.nodules.films import Film

FOLDS = 5
STRENGTH = 1.0  # of the regression, for standardised cues
CLEAN = 0.85  # of the films without nodule, each site counting the same: the share that shall be given no mark
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
        right.append(np.array([_hits(one.scaled(1 / here.enlarged), film) for one in kept], bool))
    return regressed(np.concatenate(x), np.concatenate(right))


def regressed(x: np.ndarray, right: np.ndarray) -> FalsePositiveReducer:
    """A logistic regression of candidates' cues (n, cues) on whether each hits a nodule."""
    scaler = StandardScaler().fit(x)
    fit = LogisticRegression(C=STRENGTH, max_iter=1000).fit(scaler.transform(x), right)
    weights = fit.coef_[0] / scaler.scale_
    return FalsePositiveReducer(tuple(float(weight) for weight in weights), float(fit.intercept_[0] - weights @ scaler.mean_))


def said_of(film: Film, found: Founds, judge: FalsePositiveReducer) -> Marks:
    """What ``judge`` says of a film's candidates, in the image's pixels."""
    here = found[film.name]
    among = marks_among(here.found, here.lungs, here.millimetres, judge)
    candidates, reported = ([one.scaled(1 / here.enlarged) for one in part] for part in (among.candidates, among.reported))
    return Marks(candidates, reported, among.film)


def _hits(one: Detection, film: Film) -> bool:
    return any(np.hypot(one.row - target.row, one.column - target.column) <= target.reach for target in film.targets)


def crossed(films: Sequence[Film], found: Founds) -> dict[str, Marks]:
    """What is said of each film's candidates by a judge that was fitted on the other folds."""
    said: dict[str, Marks] = {}
    parts = folds(films)
    for number, part in enumerate(parts):
        judge = fitted(rest(parts, number), found)
        said |= {film.name: said_of(film, found, judge) for film in part}
    return said


def chosen(films: Sequence[Film], found: Founds) -> FalsePositiveReducer:
    """A judge fitted on ``films``; its film's probability and thresholds by what such judges say of folds that they did not see.

    film_from : the least by which ``CLEAN`` of the films without nodule are given no mark, each site counting the same. mark_from :
    the least by which there are at most ``FALSE`` false marks a film then.
    """
    said = crossed(films, found)
    best = np.array([log_odds(max((one.probability for one in said[film.name].candidates), default=0.0)) for film in films])
    truth = np.array([bool(film.nodules) for film in films])
    platt = LogisticRegression(C=1e6, class_weight="balanced").fit(best[:, None], truth)
    slope, shift = float(platt.coef_[0, 0]), float(platt.intercept_[0])
    chances = {film.name: float(logistic(np.array(slope * odds + shift))) for film, odds in zip(films, best, strict=True)}
    film_from = _film_threshold(films, chances)
    mark_from = _mark_threshold(films, said, {name for name, chance in chances.items() if chance >= film_from})
    return replace(fitted(films, found), film_slope=slope, film_shift=shift, film_from=film_from, mark_from=mark_from)


def _film_threshold(films: Sequence[Film], chances: Mapping[str, float]) -> float:
    without = [film for film in films if not film.nodules]
    names = sorted({film.site for film in without})
    sites = [np.array([chances[film.name] for film in without if film.site == name]) for name in names]
    tried = sorted({0.0, *(chances[film.name] for film in without)})
    least = next((t for t in tried if np.mean([(site <= t).mean() for site in sites]) >= CLEAN), tried[-1])
    return float(np.nextafter(least, 1))


def _mark_threshold(films: Sequence[Film], said: Mapping[str, Marks], displayed: set[str]) -> float:
    misses = [np.sort(outcome(said[film.name].candidates[:MOST], film.targets).misses) for film in films if film.name in displayed]
    false = np.sort(np.concatenate([*misses, np.zeros(0)]))[::-1]
    allowed = int(FALSE * len(films))
    return float(np.nextafter(false[allowed], 1)) if allowed < len(false) else 0.0


@dataclass(frozen=True)
class Row:
    """One film by a network and a judge that did not learn from it and whose thresholds were not chosen with it.

    nodule : row, column in pixels, diameter in mm, subtlety; None where there is none. film_probability : that it has one at all.
    hit : the highest probability of a candidate that hits it, −1 where none does. misses : those of candidates that hit nothing.
    marks : what is reported, each with its row and column in the upright film, its probability, and whether it hits the nodule.
    """

    film: str
    site: str
    nodule: tuple[float, float, float, int] | None
    refused: bool
    film_probability: float
    film_from: float
    mark_from: float
    hit: float | None
    misses: tuple[float, ...]
    marks: tuple[tuple[float, float, float, bool], ...]


def row(film: Film, found: Founds, judge: FalsePositiveReducer) -> Row:
    nodule = next(((one.row, one.column, one.diameter_mm, one.subtlety) for one in film.nodules), None)
    if film.name not in found:
        missed = None if nodule is None else -1.0
        return Row(film.name, film.site, nodule, True, 0.0, judge.film_from, judge.mark_from, missed, (), ())
    said = said_of(film, found, judge)
    measured = outcome(said.candidates, film.targets)
    hit = float(measured.hits[0]) if len(measured.hits) else None
    marks = tuple((one.row, one.column, one.probability, _hits(one, film)) for one in said.reported)
    misses = tuple(float(one) for one in measured.misses)
    return Row(film.name, film.site, nodule, False, said.film, judge.film_from, judge.mark_from, hit, misses, marks)
