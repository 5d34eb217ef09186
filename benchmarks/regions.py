"""How well the lungs and the heart of chest radiographs are outlined.

Trains seven times, a quarter of an hour each; ``--only seconds refused`` measures the shipped model alone. Every figure but the
times is of patients that the network was not trained on: JSRT's 148 patients five-fold (with the films of the other sites in every
training), and either other site left out. What is refused or not found counts as Dice 0.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch

from benchmarks import driver
from benchmarks.tables import spread, table
from casewise import chest, formats
from casewise.case import Case
from casewise.errors import CasewiseError
from casewise.header import Header
from casewise.image import Image
from casewise.statistics import interval
from experiments import datasets
from experiments.regions.cases import radiographs, strange_pictures
from experiments.regions.clavicles import at_most, films, reduced
from experiments.regions.runs import MASKS_EDGE, MASKS_MM, Row, measured_cases, spoilt, trained_model
from experiments.regions.training import SETTINGS
from experiments.splits import FOLDS, folds, without

BARS = {"lungs": 0.98, "heart": 0.95}
SITE_BAR = 0.96
SITES = ("shenzhen", "montgomery")
SIDES = (64, 128, 256, 512, 1024, 2048, 3000, 4000)
CHANGES = ("as it is", "inverted", "turned by 90°")
STRANGE_NAMES = (
    "hand radiographs",
    "chest CT slices",
    "abdomen CT slices",
    "head CT slices",
    "breast MR slices",
    "brain MR slices",
    "breast ultrasound",
)
EACH = 20


@cache
def others() -> list[Case]:
    return [film for site in SITES for film in radiographs(site)]


def fold(number: int, change: str) -> list[Row]:
    """A row a film of the fold, by the network that was trained without it."""
    every = films()
    held = folds(every)[number]
    model = trained_model(f"fold_{number}", lambda: [*map(reduced, without(every, held)), *others()])
    return measured_cases(model, [at_most(every[n], MASKS_EDGE) for n in held], spoilt(change))


def left_out(site: str) -> list[Row]:
    """A row a film of ``site``, by a network that learnt from JSRT and the other one."""
    (other,) = (name for name in SITES if name != site)
    model = trained_model(f"without_{site}", lambda: [*map(reduced, films()), *radiographs(other)])
    return measured_cases(model, radiographs(site))


def summary(values: Sequence[float]) -> dict[str, float]:
    low, high = interval(values)
    middle = float(np.median(values))
    return {
        "mean": float(np.mean(values)),
        "median": middle,
        "low": low,
        "high": high,
        "worst": float(np.min(values)),
        "count": len(values),
    }


def refusals() -> dict[str, object]:
    """How many are refused of pictures that no training saw: of other kinds, and of chest radiographs of a further source."""
    kinds = dict(zip(STRANGE_NAMES, strange_pictures(EACH, unseen=True), strict=True))
    kinds["chest radiographs of 64 pixels"] = datasets.files("mednist/CXR/*")[:: 1000 // EACH][:EACH]
    found: dict[str, object] = {}
    for name, paths in kinds.items():
        refused, sentence = 0, ""
        for path in paths:
            try:
                chest.regions(formats.read(path))
            except CasewiseError as error:
                refused, sentence = refused + 1, str(error)
        found[name] = {"count": len(paths), "refused": refused, "sentence": sentence}
    return found


def seconds() -> dict[str, float]:
    """Median of five after loading, for square pictures of many sizes."""
    from skimage.transform import resize

    case = films()[0]
    torch.set_num_threads(2)
    found = {}
    for side in SIDES:
        array = resize(case.image.array[0].astype(np.float32), (side, side), preserve_range=True).astype(np.uint8)
        image = Image(array[None], header=Header(spacing_known=False))
        chest.regions(image)
        times = []
        for _ in range(5):
            begun = time.perf_counter()
            chest.regions(image)
            times.append(time.perf_counter() - begun)
        found[str(side)] = statistics.median(times)
    torch.set_num_threads(1)
    return found


def figures(units: driver.Rows) -> Mapping[str, Any]:
    head = ["Dice", "95 % interval", "median", "worst", "patients", "aim"]
    rows = [row for number in range(FOLDS) for row in units[f"fold {number} {CHANGES[0]}"]]
    head_spoilt = ["", "refused", "lungs' Dice", "heart's Dice", "worst lungs"]
    apart = [row["lung_distance_px"] for row in rows if row["lung_distance_px"] is not None]
    errors = [abs(row["ratio"] - row["true_ratio"]) for row in rows if "ratio" in row]
    names = ("lungs", "right_lung", "left_lung", "heart")
    five_fold = [_row(name.replace("_", " "), summary([row[name] for row in rows]), BARS.get(name)) for name in names]
    sites = [_row(site, summary([row["lungs"] for row in units[f"without {site}"]]), SITE_BAR) for site in SITES]
    refused = [[name, f"{row['refused']} of {row['count']}", row["sentence"]] for name, row in units["refused"].items()]
    times = units["seconds"]
    return {
        "five_fold": table(["region", *head], five_fold),
        "distance": _spread(summary([MASKS_MM * distance for distance in apart]), 2),
        "ratio": _spread(summary(errors), 3),
        "settings": SETTINGS,
        "sites": table(["site that the network never saw", *head], sites),
        "spoilt": table(head_spoilt, [_changed(name, units[f"fold 0 {name}"]) for name in CHANGES]),
        "refused": table(["pictures", "refused", "a sentence"], refused),
        "seconds": table(["edge in pixels", *times], [["seconds", *(f"{value:.2f}" for value in times.values())]]),
    }


def _changed(name: str, rows: Sequence[Row]) -> list[object]:
    refused = int(sum(row["refused"] for row in rows))
    lungs, heart = ([row[region] for row in rows] for region in ("lungs", "heart"))
    return [name, f"{refused} of {len(rows)}", *(f"{value:.3f}" for value in (np.mean(lungs), np.mean(heart), np.min(lungs)))]


def _row(name: str, value: dict[str, float], bar: float | None) -> list[object]:
    aim = "" if bar is None else f"≥ {bar}: {'reached' if value['mean'] >= bar else 'missed'}"
    middle = [f"{value['mean']:.3f}", f"{value['low']:.3f} to {value['high']:.3f}"]
    return [name, *middle, f"{value['median']:.3f}", f"{value['worst']:.3f}", value["count"], aim]


def _spread(value: dict[str, float], digits: int) -> str:
    return spread((value["mean"], value["low"], value["high"]), f".{digits}f")


def units() -> list[driver.Unit]:
    asked = [(number, CHANGES[0]) for number in range(FOLDS)] + [(0, change) for change in CHANGES[1:]]
    found = [driver.Unit(f"fold {n} {change}", lambda n=n, c=change: fold(n, c)) for n, change in asked]  # type: ignore[misc]
    found += [driver.Unit(f"without {site}", lambda s=site: left_out(s)) for site in SITES]  # type: ignore[misc]
    return [*found, driver.Unit("refused", refusals), driver.Unit("seconds", seconds)]


BENCHMARK = driver.Benchmark("regions", __doc__, lambda options: units(), figures)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
