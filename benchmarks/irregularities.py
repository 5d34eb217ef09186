"""Networks for nodules, compared: the whole film reduced, native segments, both.

What the application reports, with the thresholds that are shipped, is measured by ``python -m benchmarks.nodules``.
JSRT, five folds by patient, two seeds, one budget: each network learns from the same windows by the same steps and is measured on
films that it did not learn from, before and after a second look that was fitted on the other folds. A row a film and network:
the probability that hits its nodule, those that hit nothing, and the highest. What took long is kept: a stopped run goes on.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import psutil

from benchmarks import driver
from benchmarks.marked_films import (
    KINDS,
    Froc,
    Rows,
    auc_cell,
    by_name,
    cells,
    differences,
    film_row,
    froc,
    outcomes,
    titles,
)
from benchmarks.tables import table
from casewise.errors import CasewiseError
from casewise.irregularities.froc import RATES, threshold
from experiments.nodules import networks
from experiments.nodules.films import films
from experiments.nodules.measured import founds
from experiments.nodules.networks import ARMS, SEEDS, crossed
from experiments.nodules.second_look import crossed as judged_by_others
from experiments.nodules.second_look import folds

NAMES = {"reduced": "whole film at 512", "native": "native segments", "both": "both"}
TWO = "as many heads as both"
NOISE, NOTHING, FIRST = "both, native pixels replaced by noise", "from nothing", "pretrained"
PAIRS = (("both", "reduced"), ("both", TWO), ("both", "native"), ("native", "reduced"))
PAIRED = {**NAMES, TWO: "whole film with two heads"}
EACH = (*RATES, None)
COST = "cost"


def units(options: Namespace) -> Iterator[driver.Unit]:
    for look in ("marked", "judged"):
        yield driver.Unit(look, partial(_rows, look))
    yield driver.Unit(COST, cost)


@cache
def _kept() -> Mapping[str, Any]:
    return crossed()


def _rows(look: str) -> list[dict[str, Any]]:
    """JSRT's films by every network; the second look is fitted on JSRT's films of the other folds alone."""
    jsrt = [film for film in films() if film.site == "JSRT"]
    names = [*(f"{arm}-{seed}" for arm in ARMS for seed in SEEDS), *ARMS, "noise"]
    rows = []
    for name in names:
        found = founds(_kept(), name)
        known = [film for film in jsrt if film.name in found]
        if look == "judged":
            said = {film: marks.candidates for film, marks in judged_by_others(known, found).items()}
        else:
            said = {film: [one.scaled(1 / here.enlarged) for one in here.found] for film, here in found.items()}
        rows += [film_row(name, film, said.get(film.name, [])) for film in jsrt]
    return rows


def figures(units: driver.Rows) -> Mapping[str, Any]:
    marked, judged = (by_name(units[look]) for look in ("marked", "judged"))
    one = marked["both"]
    nodules = [row for row in one if "subtlety" in row]
    return {
        "networks": networks,
        "films": len(one),
        "every": len(films()),
        "nodules": len(nodules),
        "small": sum(row["diameter_mm"] <= 10 for row in nodules),
        "folds": len(folds(films())),
        "seeds": len(SEEDS),
        "marked": froc_table(marked),
        "marked_differences": differences(paired(marked), len(one), PAIRS, PAIRED, EACH),
        "judged": froc_table(judged),
        "judged_differences": differences(paired(judged), len(one), PAIRS, PAIRED, EACH),
        "kinds": kinds_table(judged),
        "film_level": film_table(marked, judged),
        "noise": noise_table(marked),
        "cost": _cost_table(units[COST]),
    }


def arms(by: Mapping[str, Rows]) -> dict[str, Froc]:
    """Of each, the mean over its seeds' networks."""
    return {arm: froc(*(by[f"{arm}-{seed}"] for seed in SEEDS)) for arm in NAMES}


def paired(by: Mapping[str, Rows]) -> dict[str, Froc]:
    """The arms, and the whole film seen by as many heads as a network of both has."""
    return {**arms(by), TWO: froc(by["reduced"])}


def froc_table(by: Mapping[str, Rows]) -> str:
    count = len(by["both"])
    seeds = [[f"{NAMES[arm]}, mean of {len(SEEDS)} seeds", *cells(value, count, EACH)] for arm, value in arms(by).items()]
    averaged = [[f"{words}, the seeds' networks averaged", *cells(froc(by[arm]), count, EACH)] for arm, words in NAMES.items()]
    return table(["network sees", *titles(EACH)], [*seeds, *averaged])


def kinds_table(by: Mapping[str, Rows], rate: float = 2.0) -> str:
    """Hits of those there are, by subtlety and size, at the threshold that gives ``rate`` misses a film."""
    least = {name: threshold(outcomes(rows), rate) for name, rows in by.items()}
    lines = []
    for kind, belongs in KINDS.items():
        line = [kind]
        for arm in NAMES:
            hits = []
            for name in (f"{arm}-{seed}" for seed in SEEDS):
                chosen = [row for row in by[name] if "subtlety" in row and belongs(row["subtlety"], row["diameter_mm"])]
                hits += [row["hits"][0] > least[name] for row in chosen]
            line.append(f"{sum(hits) / len(SEEDS):g} of {len(hits) // len(SEEDS)}")
        lines.append(line)
    return table(["nodules", *NAMES.values()], lines)


def film_table(marked: Mapping[str, Rows], judged: Mapping[str, Rows]) -> str:
    lines = [[words, *(auc_cell(by[arm]) for by in (marked, judged))] for arm, words in NAMES.items()]
    return table(["film has a nodule, area under the curve by its best mark", "as marked", "second look"], lines)


def noise_table(by: Mapping[str, Rows]) -> str:
    names = {"both": NAMES["both"], "noise": NOISE}
    lines = [[words, *cells(froc(by[name]), len(by[name]), RATES)] for name, words in names.items()]
    return table(["network sees", *titles(RATES)], lines)


def _cost_table(rows: Rows) -> str:
    head = ["`casewise analyze` with every chest application", "seconds", "peak memory of its largest process", "of all together"]
    lines = []
    for row in rows:
        memory = [f"{row[name]:.2f} GiB" if name in row else "–" for name in ("gib", "together")]
        lines.append([f"{row['films']} of 2048 × 2048", f"{statistics.median(row['seconds']):.1f}", *memory])
    return table(head, lines)


def cost() -> list[dict[str, Any]]:
    """Whole commands in processes of their own: one film of 2048 × 2048, five times, and ten of them in one call."""
    paths = [film.path for film in films()[:10]]
    rows = []
    for chosen, runs in ((paths[:1], 5), (paths, 3)):
        each = [_timed(chosen) for _ in range(runs)]
        seconds, largest, together = (list(column) for column in zip(*each, strict=True))
        rows.append({"films": len(chosen), "seconds": seconds, "gib": max(largest), "together": max(together)})
    return rows


def _timed(paths: Sequence[Path]) -> tuple[float, float, float]:
    """(seconds, GiB of the largest process, GiB of all at once) of one command, its memory looked at ten times a second."""
    with tempfile.TemporaryDirectory(prefix="casewise-") as folder:
        words = ["analyze", *map(str, paths), "--output", str(Path(folder) / "found"), "--json"]
        began = time.perf_counter()
        with (Path(folder) / "said.txt").open("wb") as said:
            process = psutil.Popen([sys.executable, "-m", "casewise", *words], stdout=said, stderr=said)
            largest = together = 0.0
            while process.poll() is None:
                held = [_resident(one) for one in (process, *_children(process))]
                largest, together = max(largest, *held), max(together, sum(held))
                time.sleep(0.1)
        seconds = time.perf_counter() - began
        if process.returncode:
            raise CasewiseError(f"The command ended with {process.returncode}.")
        return seconds, largest, together


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:  # it has just ended
        return []


def _resident(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss / 1024**3)
    except psutil.Error:
        return 0.0


BENCHMARK = driver.Benchmark("irregularities", __doc__, units, figures)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
