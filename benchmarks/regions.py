"""How well the lungs and the heart of chest radiographs are outlined.

Trains eighteen times; ``--only seconds refused`` measures the shipped model alone. Every figure but the times is of patients that
the network was not trained on: JSRT five-fold by patient (with the films of the other sites in every training), and each site
left out in turn. Settings were chosen on validation cases of the first fold's training part. What is refused or not found counts as
Dice 0.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping, Sequence
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
from casewise.models import Model
from casewise.statistics import interval, paired_p
from experiments import datasets
from experiments.regions.cases import all_sites, strange_pictures
from experiments.regions.runs import JSRT_MM, Measures, base, measured_cases, spoilt, trained
from experiments.regions.training import LUNGS, finer, finished, with_heart
from experiments.splits import folds, without

BARS = {"lungs": 0.975, "heart": 0.94}
SITE_BAR = 0.95
SIDES = (64, 128, 256, 512, 1024, 2048, 3000, 4000)
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


def sites_left_out(sites: dict[str, list[Case]]) -> dict[str, list[Measures]]:
    """Lungs of each site by a network that learnt lungs from the other two; JSRT's is the one that the folds start from."""
    return {
        site: measured_cases(f"without_{site}", lambda left=site: base(sites, left), cases)  # type: ignore[misc]
        for site, cases in sites.items()
    }


def five_fold(sites: dict[str, list[Case]], change: str = "as it is", step: str = "finer") -> list[Measures]:
    """One row a JSRT case, in their order, by the network after the training's last ``step``, or the one before: ``finished``."""
    cases = sites["jsrt"]
    rows: dict[int, Measures] = {}
    for number, fold in enumerate(folds(cases)):
        training = without(cases, fold) + sites["shenzhen"] + sites["montgomery"]
        held = [cases[n] for n in fold]

        def model(n: int = number, known: list[Case] = training) -> Model:
            second = trained(f"fold{n}", lambda: with_heart(base(sites), known))
            third = trained(f"fold{n}_finished", lambda: finished(second, known))
            return third if step == "finished" else trained(f"fold{n}_finer", lambda: finer(third, known))

        found = measured_cases(f"fold{number}_{step} {change}", model, held, spoilt(change))
        rows |= dict(zip(fold, found, strict=True))
    return [rows[n] for n in range(len(cases))]


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


def accuracy() -> dict[str, object]:
    sites = all_sites()
    rows, third = five_fold(sites), five_fold(sites, step="finished")
    left = sites_left_out(sites)
    names = ("lungs", "right_lung", "left_lung", "heart")
    found: dict[str, object] = {"five_fold": {name: summary([row[name] for row in rows]) for name in names}}
    found["distance_mm"] = summary([JSRT_MM * row["lung_distance_px"] for row in rows])
    found["gained"] = {name: gain([row[name] for row in rows], [row[name] for row in third]) for name in ("lungs", "heart")}
    errors = [abs(row["ratio"] - row["true_ratio"]) for row in rows if "ratio" in row]
    found["ratio_error"] = summary(errors)
    found["sites"] = {site: summary([row["lungs"] for row in of]) for site, of in left.items()}
    found["cases"] = {"five_fold": rows, "sites": left}
    replaced = json.loads((driver.RESULTS / "regions_replaced.json").read_text(encoding="utf-8"))
    new = [row["lungs"] for row in left["jsrt"]]
    found["replaced"] = gain(new, replaced["dice"])
    return found


def gain(new: Sequence[float], old: Sequence[float]) -> dict[str, object]:
    """mean : of the old values. difference : of the new ones from them, by patient; p : Wilcoxon's."""
    differences = list(np.array(new) - np.array(old))
    return {"mean": float(np.mean(old)), "difference": summary(differences), "p": paired_p(new, old)}


def spoilt_pictures() -> dict[str, object]:
    """The folds' own test films, inverted and turned."""
    found, sites = {}, all_sites()
    for change in ("inverted", "turned by 90°"):
        rows = five_fold(sites, change)
        found[change] = {
            "count": len(rows),
            "refused": int(sum(row["refused"] for row in rows)),
            "lungs": float(np.mean([row["lungs"] for row in rows])),
            "heart": float(np.mean([row["heart"] for row in rows])),
            "worst": float(np.min([row["lungs"] for row in rows])),
        }
    return found


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

    case = all_sites()["jsrt"][0]
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
    found, spoilt_films = units["accuracy"], units["spoilt"]
    head = ["Dice", "95 % interval", "median", "worst", "patients", "aim"]
    five_fold = [_row(name.replace("_", " "), value, BARS.get(name)) for name, value in found["five_fold"].items()]
    spoilt_rows = [
        [name, f"{row['refused']} of {row['count']}", *(f"{row[key]:.3f}" for key in ("lungs", "heart", "worst"))]
        for name, row in spoilt_films.items()
    ]
    refused = [[name, f"{row['refused']} of {row['count']}", row["sentence"]] for name, row in units["refused"].items()]
    times = units["seconds"]
    return {
        "five_fold": table(["region", *head], five_fold),
        "distance": _spread(found["distance_mm"], 2),
        "ratio": _spread(found["ratio_error"], 3),
        "gained": {name: (_spread(value["difference"], 4), f"{value['p']:.1g}") for name, value in found["gained"].items()},
        "lungs": LUNGS,
        "sites": table(
            ["site that the network never saw", *head], [_row(name, value, SITE_BAR) for name, value in found["sites"].items()]
        ),
        "replaced": found["replaced"],
        "replaced_by": _spread(found["replaced"]["difference"], 4),
        "spoilt": table(["", "refused", "lungs' Dice", "heart's Dice", "worst lungs"], spoilt_rows),
        "refused": table(["pictures", "refused", "a sentence"], refused),
        "seconds": table(["edge in pixels", *times], [["seconds", *(f"{value:.2f}" for value in times.values())]]),
    }


def _row(name: str, value: dict[str, float], bar: float | None) -> list[object]:
    aim = "" if bar is None else f"≥ {bar}: {'reached' if value['mean'] >= bar else 'missed'}"
    middle = [f"{value['mean']:.3f}", f"{value['low']:.3f} to {value['high']:.3f}"]
    return [name, *middle, f"{value['median']:.3f}", f"{value['worst']:.3f}", value["count"], aim]


def _spread(value: dict[str, float], digits: int) -> str:
    return spread((value["mean"], value["low"], value["high"]), f".{digits}f")


PARTS = {"accuracy": accuracy, "spoilt": spoilt_pictures, "refused": refusals, "seconds": seconds}
BENCHMARK = driver.Benchmark("regions", __doc__, lambda options: [driver.Unit(name, make) for name, make in PARTS.items()], figures)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
