"""The nodules that are reported in each film, by second looks that were fitted on other films."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from casewise.chest.nodules.false_positive_reduction import FalsePositiveReducer
from casewise.image import Box
from casewise.irregularities.box_fusion import Detection
from casewise.irregularities.froc import Outcome
from casewise.statistics import auc
from experiments.nodules.films import SITES, Film
from experiments.nodules.second_look import Found, Row, chosen, folds, rest, row

Rows = Sequence[Row]


def founds(kept: Mapping[str, Any], name: str) -> dict[str, Found]:
    """film → candidates by the networks called ``name``, of what :func:`experiments.nodules.networks.crossed` gives."""
    result = {}
    for film, here in kept.items():
        if here is not None and name in here["found"]:
            lungs = {side: Box(tuple(box["lower"]), tuple(box["upper"])) for side, box in here["lungs"].items()}
            detections = [Detection(**one) for one in here["found"][name]]
            result[film] = Found(detections, lungs, here["millimetres"], here["enlarged"])
    return result


def measured(every: Sequence[Film], found: Mapping[str, Found]) -> list[Row]:
    """A row a film, by a judge and thresholds that were chosen on the other folds."""
    parts = folds(every)
    rows = []
    for number, part in enumerate(parts):
        judge = chosen([film for film in rest(parts, number) if film.name in found], found)
        rows += [row(film, found, judge) for film in part]
    return sorted(rows, key=lambda one: one.film)


def shipped_judge(every: Sequence[Film], found: Mapping[str, Found]) -> FalsePositiveReducer:
    """Fitted, and its thresholds chosen, on what the networks of the folds say of all films."""
    return chosen([film for film in every if film.name in found], found)


def groups(rows: Rows) -> list[tuple[str, Rows]]:
    without = [one for one in rows if not one.nodule]
    return [
        ("JSRT, all", [one for one in rows if one.site == "JSRT"]),
        ("JSRT, with a nodule", [one for one in rows if one.site == "JSRT" and one.nodule]),
        *((f"{site}, without nodule", [one for one in without if one.site == site]) for site in sites()),
        ("all without nodule", without),
    ]


def sites() -> list[str]:
    return list(dict.fromkeys(SITES.values()))


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
    """Of the film's probability, for whether it has a nodule; 0.5 where all have one, or none."""
    truth = [row.nodule is not None for row in rows]
    return auc([row.film_probability for row in rows], truth) if 0 < sum(truth) < len(truth) else 0.5
