"""Networks for nodules on chest radiographs, compared.

What the application reports, with the thresholds that are shipped, is measured by ``python -m benchmarks.nodules``.
Nodules: JSRT, five folds by patient, three inputs with one protocol and one budget: the whole image reduced to 512 pixels,
segments at native resolution, both; with and without a second look at what was found.
A row a film and input: the probabilities that hit its nodule, those that hit nothing, and the five highest. Each fold's findings
are kept, so that a stopped run goes on.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import driver
from benchmarks.nodules import SUBTLETY
from benchmarks.tables import measured, spread, table
from casewise.chest.nodules.box_fusion import Detection, noisy_or
from casewise.chest.nodules.false_positive_reduction import CANDIDATES, cues, lungs_of
from casewise.chest.nodules.froc import RATES, Outcome, Target, outcome, sensitivity, threshold
from casewise.chest.nodules.views import PIXEL_MM
from casewise.statistics import auc, paired_bootstrap
from experiments.nodules import networks
from experiments.nodules.networks import ARMS, MEAN, Found, crossed, folds, unseen
from experiments.nodules.normals import chests, normals
from experiments.nodules.radiographs import Radiograph, radiographs
from experiments.nodules.second_look import regressed

NAMES = {"reduced": "whole image reduced to 512", "native": "native segments", "both": "both"}
UNSEEN, LOOKED = "not trained on JSRT", f"{MEAN}, second look"
PAIRS = tuple((NAMES[one], NAMES[other]) for one, other in (("both", "reduced"), ("both", "native"), ("native", "reduced")))
COST = "cost"
Rows = Sequence[Mapping[str, Any]]
Arms = Mapping[str, Rows]


def units(options: Namespace) -> Iterator[driver.Unit]:
    """Before any film of JSRT, trained on other folds besides, the same with a second look; then the cost."""
    for name in ("before", "trained", "again"):
        yield driver.Unit(name, partial(_part, name))
    yield driver.Unit(COST, cost)


def _part(name: str) -> list[dict[str, Any]]:
    films = radiographs()
    if name == "before":
        arms = unseen(films)
        arms[LOOKED] = judged(films, arms[MEAN])
    else:
        arms = {NAMES[arm]: found for arm, found in crossed(films).items() if arm in ARMS}
        arms = {arm: judged(films, found) for arm, found in arms.items()} if name == "again" else arms
    return [_row(arm, film, found[film.name]) for arm, found in arms.items() for film in films]


def _row(arm: str, film: Radiograph, found: Sequence[Detection]) -> dict[str, Any]:
    own = outcome(found, [Target(t.row, t.column, t.reach) for t in film.nodules])
    about = {"subtlety": film.nodules[0].subtlety, "diameter_mm": film.nodules[0].diameter_mm} if film.nodules else {}
    best = sorted((one.probability for one in found), reverse=True)[:5]
    return {"arm": arm, "film": film.name, **about, "hits": np.asarray(own.hits, float).tolist()} | {
        "misses": np.asarray(own.misses, float).tolist(),
        "best": best,
    }


def judged(films: Sequence[Radiograph], found: Found) -> Found:
    """What was found in each film, judged by a regression that was fitted on the films of the other folds."""
    again: Found = {}
    for fold in folds(films):
        others = [film for number, film in enumerate(films) if number not in fold]
        x = np.concatenate([cues(found[film.name][:CANDIDATES], lungs_of(film.regions), PIXEL_MM) for film in others])
        judge = regressed(x, np.concatenate([_right(film, found[film.name][:CANDIDATES]) for film in others]))
        for film in (films[number] for number in fold):
            again[film.name] = judge.rescored(found[film.name], lungs_of(film.regions), PIXEL_MM)
    return again


def _right(film: Radiograph, found: Sequence[Detection]) -> np.ndarray:
    return np.array([any(np.hypot(one.row - t.row, one.column - t.column) <= t.reach for t in film.nodules) for one in found], bool)


def figures(units: driver.Rows) -> Mapping[str, Any]:
    before, trained, again = (_arms(units[name]) for name in ("before", "trained", "again"))
    films = before[MEAN]
    nodules = [row for row in films if "subtlety" in row]
    healthy, every = len(normals()), len(chests())
    shipped = {**again, UNSEEN: before[LOOKED]}
    pairs = (*PAIRS, (NAMES["both"], UNSEEN), (NAMES["reduced"], UNSEEN))
    return {
        "networks": networks,
        "films": len(films),
        "nodules": len(nodules),
        "small": sum(row["diameter_mm"] < 15 for row in nodules),
        "healthy": healthy,
        "ill": every - healthy,
        "before": _tables(before, (MEAN, LOOKED)) + _differences(before, ((LOOKED, MEAN),)),
        "trained": _tables(trained, ()) + _differences(trained, PAIRS),
        "again": _tables(again, tuple(again)) + _differences(shipped, pairs),
        "cost": _cost_table(units[COST]),
    }


def _cost_table(rows: Rows) -> str:
    head = ["`casewise analyze --application irregularities`", "seconds", "peak memory of its processes"]
    lines = []
    for row in rows:
        memory = f"{row['gib']:.2f} GiB (the largest)"
        lines.append([f"{row['films']} of 2048 × 2048", f"{statistics.median(row['seconds']):.1f}", memory])
    return table(head, lines)


def _arms(rows: Rows) -> dict[str, Rows]:
    return {arm: [row for row in rows if row["arm"] == arm] for arm in dict.fromkeys(row["arm"] for row in rows)}


def _outcomes(rows: Rows) -> list[Outcome]:
    return [Outcome(np.array(row["hits"]), np.array(row["misses"])) for row in rows]


def mean_sensitivity(outcomes: Sequence[Outcome]) -> float:
    return float(np.mean([sensitivity(outcomes, rate) for rate in RATES]))


def _measures(rates: Sequence[float]) -> list[Callable[[Sequence[Outcome]], float]]:
    return [*(partial(_sensitivity, rate) for rate in rates), mean_sensitivity]


def _sensitivity(rate: float, outcomes: Sequence[Outcome]) -> float:
    return sensitivity(outcomes, rate)


def _tables(arms: Arms, groups: Sequence[str]) -> str:
    parts = [_froc_table(arms)]
    if groups:
        parts += ["Hit at two false findings an image:", _groups_table({name: arms[name] for name in groups})]
    return "\n\n".join([*parts, _image_level(arms), ""])


def _froc_table(arms: Arms) -> str:
    lines = []
    for name, rows in arms.items():
        outcomes = _outcomes(rows)
        cells = [measured(lambda drawn, m=m, of=outcomes: m([of[n] for n in drawn]), len(outcomes)) for m in _measures(RATES)]
        lines.append([name, *(spread(cell, ".3f", ".2f") for cell in cells)])
    return table(["input", *(f"{rate:g}" for rate in RATES), "mean of the four"], lines)


def _differences(arms: Arms, pairs: Sequence[tuple[str, str]]) -> str:
    lines = []
    for first, second in pairs:
        one, other = _outcomes(arms[first]), _outcomes(arms[second])
        cells = []
        for measure in _measures((1.0, 2.0, 4.0)):

            def difference(drawn: np.ndarray, m: Callable = measure, a: list = one, b: list = other) -> float:
                return float(np.nan_to_num(m([a[n] for n in drawn]) - m([b[n] for n in drawn])))

            low, high, p = paired_bootstrap(difference, len(one))
            cells.append(f"{difference(np.arange(len(one))):+.3f} ({low:+.3f} to {high:+.3f}), p {p:.3f}")
        lines.append([f"{first} − {second}", *cells])
    return table(["difference of sensitivity at", "1", "2", "4", "mean of the four"], lines)


def _groups_table(arms: Arms, rate: float = 2.0) -> str:
    """Hits of those there are, by subtlety and size, at the threshold that gives ``rate`` misses an image."""
    groups: dict[str, Callable[[Mapping[str, Any]], bool]] = {
        f"subtlety {level}, {name}": (lambda row, level=level: row["subtlety"] == level)  # type: ignore[misc]
        for level, name in SUBTLETY.items()
    }
    groups |= {"under 15 mm": lambda row: row["diameter_mm"] < 15, "15 mm and over": lambda row: row["diameter_mm"] >= 15}
    lines = []
    for name, belongs in groups.items():
        cells = []
        for rows in arms.values():
            least = threshold(_outcomes(rows), rate)
            chosen = [row["hits"][0] > least for row in rows if "subtlety" in row and belongs(row)]
            cells.append(f"{sum(chosen)} of {len(chosen)}")
        lines.append([name, *cells])
    return table(["nodules", *arms], lines)


def _image_level(arms: Arms) -> str:
    """How well the most probable findings of a film tell whether it has a nodule at all: their highest, and their noisy-or."""
    lines = []
    for name, rows in arms.items():
        truth = ["subtlety" in row for row in rows]
        cells = [auc([row["best"][0] for row in rows], truth), auc([noisy_or(row["best"]) for row in rows], truth)]
        lines.append([name, *(f"{cell:.3f}" for cell in cells)])
    return table(["film has a nodule, AUC of", "highest probability", "noisy-or of the five highest"], lines)


def cost() -> list[dict[str, Any]]:
    """Whole commands in processes of their own: one film of 2048 × 2048, five times, and ten of them in one call."""
    films = [film.path for film in radiographs()[:10]]
    rows = []
    for paths, runs in ((films[:1], 5), (films, 1)):
        seconds = [_timed(paths) for _ in range(runs)]
        rows.append(
            {"films": len(paths), "seconds": seconds, "gib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2}
        )
    return rows


def _timed(paths: Sequence[Path]) -> float:
    with tempfile.TemporaryDirectory(prefix="casewise-") as folder:
        words = ["analyze", *map(str, paths), "--application", "irregularities", "--output", folder, "--json"]
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "casewise", *words], check=True, capture_output=True)
        return time.perf_counter() - began


BENCHMARK = driver.Benchmark("irregularities", __doc__, units, figures)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
