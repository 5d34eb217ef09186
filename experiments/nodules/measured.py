"""The nodules that are reported in each film, by second looks that were fitted on other films."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from casewise.chest.nodules.froc import Outcome

from casewise.chest.nodules.false_positive_reduction import FalsePositiveReducer
from casewise.statistics import auc
from experiments.nodules.films import SITES, Film, found_in
from experiments.nodules.second_look import Founds, Row, chosen, folds, rest, row

CROSSED, ALONE = "crossed", "jsrt alone"


def measured(every: Sequence[Film]) -> tuple[dict[str, list[Row]], FalsePositiveReducer]:
    """(rows by protocol, the judge that is shipped)."""
    founds: Founds = {film.name: found for film in every if (found := found_in(film)) is not None}
    known = [film for film in every if film.name in founds]
    fresh = [film for film in known if not film.learnt_from]
    shipped = chosen(fresh, founds)
    parts = folds(every)
    rows = []
    for number, part in enumerate(parts):
        others = {film.name for film in rest(parts, number)}
        judge = chosen([film for film in fresh if film.name in others], founds)
        rows += [row(film, founds, judge, shipped, film.learnt_from) for film in part]
    jsrt = chosen([film for film in fresh if film.site == "JSRT"], founds)
    alone = [row(film, founds, jsrt, shipped, film.learnt_from) for film in every if film.site != "JSRT"]
    return {CROSSED: sorted(rows, key=lambda one: one.film), ALONE: sorted(alone, key=lambda one: one.film)}, shipped


def groups(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    fresh = [one for one in rows if not one.learnt_from]
    named = [(site, [one for one in fresh if one.site == site and not one.nodule]) for site in sites()]
    return [
        ("JSRT, all", [one for one in fresh if one.site == "JSRT"]),
        ("JSRT, with a nodule", [one for one in fresh if one.site == "JSRT" and one.nodule]),
        *((f"{site}, without nodule", here) for site, here in named),
        ("all without nodule", [one for one in fresh if not one.nodule]),
        ("Shenzhen and Montgomery, learnt from by the networks", [one for one in rows if one.learnt_from]),
    ]


def sites() -> list[str]:
    return list(dict.fromkeys(SITES.values()))


Rows = Sequence[Row]


def outcomes(rows: Rows) -> list[Outcome]:
    """Of the candidates, whatever is reported of them."""
    return [Outcome(np.array([] if row.hit is None else [row.hit]), np.array(row.misses)) for row in rows]


def false_marks(rows: Rows) -> float:
    return float(np.mean([sum(not mark[3] for mark in row.marks) for row in rows]))


def clean(rows: Rows) -> float:
    """The share of films that are given no mark; one that is refused is not among them."""
    return float(np.mean([not row.marks and not row.refused for row in rows]))


def reported(rows: Rows) -> float:
    """The share of nodules that a reported mark hits."""
    return float(np.mean([any(mark[3] for mark in row.marks) for row in rows if row.nodule]))


def film_auc(rows: Rows) -> float:
    """Of the likeliest candidate's probability, for whether the film has a nodule; 0.5 where all have one, or none."""
    truth = [row.nodule is not None for row in rows]
    best = [max((row.hit if row.hit is not None else -1.0, *row.misses), default=0.0) for row in rows]
    return auc(best, truth) if 0 < sum(truth) < len(truth) else 0.5
