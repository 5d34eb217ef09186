"""Tuberculosis from one hospital's films to another's.

A detector is trained on one site and asked about every film of the other, both ways, by the function that the applications call:
lungs outlined by the shipped regions, cut into segments, a map of evidence, an answer. The same is done without the films of a
third site. Then normal films of a site that no detector saw, by the shipped one; and the cost of a film of 2048 pixels.
A row a film.
"""

from __future__ import annotations

import statistics
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks import driver
from benchmarks.tables import measured, spread, table
from casewise import formats
from casewise.chest import regions
from casewise.chest.diffuse import assess
from casewise.models.shipped import load
from casewise.statistics import auc, paired_bootstrap
from experiments.tuberculosis import detectors, films
from experiments.tuberculosis.films import SITES, Film, without_nodule

WITH, ALONE, RANDOM = "trained on the site and NIH", "trained on the site alone", "the same as the first, random encoder"
ARMS = {WITH: (True, detectors.PHOTOGRAPHS), ALONE: (False, detectors.PHOTOGRAPHS), RANDOM: (True, detectors.RANDOM)}
WITHIN = "five-fold within the site"
NORMAL, COST = "normal films of JSRT", "cost"
WAYS = (SITES, SITES[::-1])
Rows = Sequence[Mapping[str, Any]]


def units(options: Namespace) -> Iterator[driver.Unit]:
    for name in ARMS:
        for learnt, asked in WAYS:
            yield driver.Unit(f"{way(learnt, asked)}, {name}", partial(_crossed, learnt, asked, name))
    for site in SITES:
        yield driver.Unit(f"{site.capitalize()}, {WITHIN}", partial(_within, site))
    yield driver.Unit(NORMAL, _normal, load("tuberculosis").key)
    yield driver.Unit(COST, _cost, load("tuberculosis").key)


def way(learnt: str, asked: str) -> str:
    return f"{learnt.capitalize()} → {asked.capitalize()}"


def _crossed(learnt: str, asked: str, arm: str) -> list[dict[str, Any]]:
    others, encoder = ARMS[arm]
    product = arm == WITH
    chances = detectors.crossed(learnt, asked) if product else detectors.crossed_by_cues(learnt, asked, others, encoder)
    return _rows(films.films(asked), chances)


def _within(site: str) -> list[dict[str, Any]]:
    return _rows(films.films(site), detectors.within(site))


def _normal() -> list[dict[str, Any]]:
    asked = without_nodule()
    return _rows(asked, detectors.probabilities(load("tuberculosis"), asked))


def _rows(asked: Sequence[Film], chances: Sequence[float]) -> list[dict[str, Any]]:
    return [
        {"film": film.name, "ill": film.ill, "probability": round(chance, 5)} for film, chance in zip(asked, chances, strict=True)
    ]


def _cost() -> list[dict[str, Any]]:
    """Processor seconds of one core a film of 2048 × 2048: for its regions, and for what is said of its lungs then."""
    network, rows = load("tuberculosis").ready("cpu"), []
    for film in without_nodule()[:6]:
        image = formats.read(film.path)
        began = time.process_time()
        found = regions(image, "cpu")
        outlined = time.process_time()
        assess(image, found, network)
        rows.append({"film": film.name, "regions": outlined - began, "tuberculosis": time.process_time() - outlined})
    return rows[1:]  # the first loads the networks


def figures(units: driver.Rows) -> Mapping[str, Any]:
    normal = np.array([row["probability"] >= 0.5 for row in units[NORMAL]], float)
    ill = {site: sum(film["ill"] for film in units[f"{way(other, site)}, {WITH}"]) for site, other in WAYS}
    return {
        "detectors": detectors,
        "counts": {site: len(units[f"{way(other, site)}, {WITH}"]) for site, other in WAYS},
        "ill": ill,
        "crossed": _crossed_table(units),
        "within": _within_table(units),
        "normal": spread(measured(lambda drawn: float(normal[drawn].mean()), len(normal)), ".2f"),
        "normals": len(normal),
        "cost": {name: f"{statistics.median(row[name] for row in units[COST]):.2f}" for name in ("regions", "tuberculosis")},
    }


def _crossed_table(units: driver.Rows) -> str:
    lines = []
    for learnt, asked in WAYS:
        arms = [units[f"{way(learnt, asked)}, {name}"] for name in ARMS]
        truth = np.array([row["ill"] for row in arms[0]])
        scores = [np.array([row["probability"] for row in arm]) for arm in arms]
        cells = [measured(lambda drawn, own=own, true=truth: auc(own[drawn], true[drawn]), len(truth)) for own in scores]
        less = [_difference(scores[0], other, truth) for other in scores[1:]]
        lines.append([way(learnt, asked), *(spread(cell, ".3f", ".2f") for cell in cells), *less])
    first, second, third = ("the first", "the second", "the third")
    return table(["trained on → asked about", *ARMS, f"{first} − {second}", f"{first} − {third}"], lines)


def _within_table(units: driver.Rows) -> str:
    lines = []
    for site in SITES:
        rows = units[f"{site.capitalize()}, {WITHIN}"]
        truth, scores = np.array([row["ill"] for row in rows]), np.array([row["probability"] for row in rows])
        cell = measured(lambda drawn, own=scores, true=truth: auc(own[drawn], true[drawn]), len(rows))
        lines.append([site.capitalize(), spread(cell, ".3f", ".2f")])
    return table(["site", f"{WITHIN}, with NIH"], lines)


def _difference(one: np.ndarray, other: np.ndarray, truth: np.ndarray) -> str:
    def change(drawn: np.ndarray) -> float:
        return float(np.nan_to_num(auc(one[drawn], truth[drawn]) - auc(other[drawn], truth[drawn])))

    low, high, p = paired_bootstrap(change, len(truth))
    return f"{change(np.arange(len(truth))):+.3f} ({low:+.2f} to {high:+.2f}), p {p:.3f}"


BENCHMARK = driver.Benchmark("tuberculosis", __doc__, units, figures)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
