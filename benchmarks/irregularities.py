"""Networks for nodules, compared: the whole film reduced, native segments, both.

What the application reports, with the thresholds that are shipped, is measured by ``python -m benchmarks.nodules``.
JSRT, five folds by patient, two seeds, one budget: each network learns from the same windows by the same steps and is measured on
films that it did not learn from, before and after a second look that was fitted on the other folds. A row a film and network:
the probability that hits its nodule, those that hit nothing, and the highest. What took long is kept: a stopped run goes on.
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
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import driver
from benchmarks.tables import measured, spread, table
from casewise.irregularities.box_fusion import Detection
from casewise.irregularities.froc import RATES, Outcome, outcome, sensitivity, threshold
from casewise.statistics import auc, paired_bootstrap
from experiments.nodules import networks
from experiments.nodules.films import Film, films
from experiments.nodules.measured import founds
from experiments.nodules.networks import ARMS, SEEDS, crossed
from experiments.nodules.second_look import crossed as judged_by_others
from experiments.nodules.second_look import folds

NAMES = {"reduced": "whole film at 512", "native": "native segments", "both": "both"}
NOISE, NOTHING, FIRST = "both, native pixels replaced by noise", "from nothing", "pretrained"
MOST = 40  # candidates a film that are kept
SUBTLETY = {1: "extremely subtle", 2: "very subtle", 3: "subtle", 4: "relatively obvious", 5: "obvious"}
PAIRS = (("both", "reduced"), ("both", "native"), ("native", "reduced"))
COST = "cost"
Rows = Sequence[Mapping[str, Any]]


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
        rows += [_row(name, film, said.get(film.name, [])) for film in jsrt]
    return rows


def _row(name: str, film: Film, found: Sequence[Detection]) -> dict[str, Any]:
    own = outcome(found, film.targets)
    about = {"subtlety": film.nodules[0].subtlety, "diameter_mm": film.nodules[0].diameter_mm} if film.nodules else {}
    best = round(max((one.probability for one in found), default=0.0), 5)
    misses = sorted((round(float(one), 5) for one in own.misses), reverse=True)[:MOST]
    return {"by": name, "film": film.name, **about, "hits": [round(float(h), 5) for h in own.hits], "misses": misses, "best": best}


def figures(units: driver.Rows) -> Mapping[str, Any]:
    marked, judged = (_by_name(units[look]) for look in ("marked", "judged"))
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
        "marked_differences": differences(marked),
        "judged": froc_table(judged),
        "judged_differences": differences(judged),
        "kinds": kinds_table(judged),
        "film_level": film_table(marked, judged),
        "noise": noise_table(marked),
        "cost": _cost_table(units[COST]),
    }


def _by_name(rows: Rows) -> dict[str, Rows]:
    return {name: [row for row in rows if row["by"] == name] for name in dict.fromkeys(row["by"] for row in rows)}


def _outcomes(rows: Rows) -> list[Outcome]:
    return [Outcome(np.array(row["hits"]), np.array(row["misses"])) for row in rows]


def of_seeds(by: Mapping[str, Rows], arm: str, rate: float | None, drawn: np.ndarray | None = None) -> float:
    """An arm's sensitivity at ``rate``, or the mean over all rates: the mean over its seeds' networks."""
    values = []
    for seed in SEEDS:
        every = _outcomes(by[f"{arm}-{seed}"])
        chosen = every if drawn is None else [every[n] for n in drawn]
        values += [sensitivity(chosen, one) for one in (RATES if rate is None else (rate,))]
    return float(np.mean(values))


def froc_table(by: Mapping[str, Rows]) -> str:
    lines = []
    count = len(by["both"])
    for arm, words in NAMES.items():
        cells = [measured(lambda drawn, r=rate, a=arm: of_seeds(by, a, r, drawn), count) for rate in (*RATES, None)]
        lines.append([f"{words}, mean of {len(SEEDS)} seeds", *(spread(cell, ".3f", ".2f") for cell in cells)])
    for arm, words in NAMES.items():
        every = _outcomes(by[arm])

        def value(drawn: np.ndarray, rate: float | None, of: list[Outcome] = every) -> float:
            chosen = [of[n] for n in drawn]
            return float(np.mean([sensitivity(chosen, one) for one in (RATES if rate is None else (rate,))]))

        cells = [measured(lambda drawn, r=rate: value(drawn, r), count) for rate in (*RATES, None)]
        lines.append([f"{words}, the seeds' networks averaged", *(spread(cell, ".3f", ".2f") for cell in cells)])
    return table(["network sees", *(f"{rate:g}" for rate in RATES), "mean of the four"], lines)


def differences(by: Mapping[str, Rows]) -> str:
    lines = []
    for first, second in PAIRS:
        cells = []
        for rate in (*RATES, None):

            def difference(drawn: np.ndarray | None, r: float | None = rate, a: str = first, b: str = second) -> float:
                return float(np.nan_to_num(of_seeds(by, a, r, drawn) - of_seeds(by, b, r, drawn)))

            low, high, p = paired_bootstrap(difference, len(by["both"]))
            cells.append(f"{difference(None):+.3f} ({low:+.3f} to {high:+.3f}), p {p:.3f}")
        lines.append([f"{NAMES[first]} − {NAMES[second]}", *cells])
    return table(["difference of sensitivity at", *(f"{rate:g}" for rate in RATES), "mean of the four"], lines)


def kinds_table(by: Mapping[str, Rows], rate: float = 2.0) -> str:
    """Hits of those there are, by subtlety and size, at the threshold that gives ``rate`` misses a film."""
    kinds: dict[str, Callable[[Mapping[str, Any]], bool]] = {
        f"subtlety {level}, {name}": (lambda row, level=level: row["subtlety"] == level)  # type: ignore[misc]
        for level, name in SUBTLETY.items()
    }
    kinds |= {
        "up to 10 mm": lambda row: row["diameter_mm"] <= 10,
        "over 10, under 20 mm": lambda row: 10 < row["diameter_mm"] < 20,
        "20 mm and over": lambda row: row["diameter_mm"] >= 20,
    }
    lines = []
    for name, belongs in kinds.items():
        cells = []
        for arm in NAMES:
            hits, count = 0, 0
            for seed in SEEDS:
                rows = by[f"{arm}-{seed}"]
                least = threshold(_outcomes(rows), rate)
                chosen = [row["hits"][0] > least for row in rows if "subtlety" in row and belongs(row)]
                hits, count = hits + sum(chosen), len(chosen)
            cells.append(f"{hits / len(SEEDS):g} of {count}")
        lines.append([name, *cells])
    return table(["nodules", *NAMES.values()], lines)


def film_table(marked: Mapping[str, Rows], judged: Mapping[str, Rows]) -> str:
    lines = []
    for arm, words in NAMES.items():
        cells = []
        for by in (marked, judged):
            rows = by[arm]

            def value(drawn: np.ndarray, of: Rows = rows) -> float:
                return auc([of[n]["best"] for n in drawn], ["subtlety" in of[n] for n in drawn])

            cells.append(spread(measured(value, len(rows)), ".3f", ".2f"))
        lines.append([words, *cells])
    return table(["film has a nodule, area under the curve by its best mark", "as marked", "second look"], lines)


def noise_table(by: Mapping[str, Rows]) -> str:
    lines = []
    for name, words in (("both", NAMES["both"]), ("noise", NOISE)):
        every = _outcomes(by[name])
        cells = [measured(lambda drawn, r=rate, of=every: sensitivity([of[n] for n in drawn], r), len(every)) for rate in RATES]
        lines.append([words, *(spread(cell, ".3f", ".2f") for cell in cells)])
    return table(["network sees", *(f"{rate:g}" for rate in RATES)], lines)


def _cost_table(rows: Rows) -> str:
    head = ["`casewise analyze` with every chest application", "seconds", "peak memory of its processes"]
    lines = []
    for row in rows:
        memory = f"{row['gib']:.2f} GiB (the largest)"
        lines.append([f"{row['films']} of 2048 × 2048", f"{statistics.median(row['seconds']):.1f}", memory])
    return table(head, lines)


def cost() -> list[dict[str, Any]]:
    """Whole commands in processes of their own: one film of 2048 × 2048, five times, and ten of them in one call."""
    paths = [film.path for film in films()[:10]]
    rows = []
    for chosen, runs in ((paths[:1], 5), (paths, 3)):
        seconds = [_timed(chosen) for _ in range(runs)]
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2
        rows.append({"films": len(chosen), "seconds": seconds, "gib": peak})
    return rows


def _timed(paths: Sequence[Path]) -> float:
    with tempfile.TemporaryDirectory(prefix="casewise-") as folder:
        words = ["analyze", *map(str, paths), "--output", folder, "--json"]
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "casewise", *words], check=True, capture_output=True)
        return time.perf_counter() - began


BENCHMARK = driver.Benchmark("irregularities", __doc__, units, figures)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
