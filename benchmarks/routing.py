"""How well the router tells categories apart, and what is none of them; about a quarter of an hour on a core.

The shipped router is measured on images that it was never trained on: a fifth of each set's subjects (patients, where they are
known), and whole sets that it never saw. For sources, categories and other kinds left out in turn a router is made
without them, several at a time, as the shipped one is.
``--only shipped speed`` measures the shipped router alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy as np

from benchmarks import driver
from benchmarks._routing_cases import Entry, entries, training
from benchmarks._routing_changes import CHANGES, changed
from benchmarks._routing_table import confusion_picture, tables
from casewise.routing.calibration import calibration_error
from casewise.routing.classifiers import CLASSIFIERS
from casewise.routing.route import UNKNOWN, Route
from casewise.routing.router import Router
from casewise.routing.storage import SHIPPED
from casewise.routing.training import Plan, router_of
from casewise.statistics import auc, interval
from casewise.training import Settings

SETTINGS = Settings(device="cpu")
FORMER = driver.RESULTS / "routing_trained_further.json"  # with the encoder's last stages trained further


class Split(NamedTuple):
    """What one router is trained without: categories, (category, source) pairs, and sources of no category."""

    categories: tuple[str, ...]
    sources: tuple[tuple[str, str], ...]
    kinds: tuple[str, ...]


SPLITS = (
    Split(
        ("breast-ultrasound", "fundus-photograph", "hand-xray"),
        (
            ("chest-ct", "iq-oth"),
            ("head-ct", "head-ct-hemorrhage"),
            ("brain-mr", "habib"),
            ("cardiac-mr", "hvsmr"),
            ("chest-xray", "kermany"),
            ("breast-mr", "breastdm"),
            ("prostate-mr", "prostate158"),
            ("histology", "glas"),
        ),
        ("abdomen-mr", "kidney-ultrasound", "dermoscopy", "photographs"),
    ),
    Split(
        ("abdomen-ct", "brain-mr", "histology"),
        (
            ("chest-ct", "mednist"),
            ("head-ct", "mednist"),
            ("breast-mr", "mednist"),
            ("cardiac-mr", "acdc"),
            ("prostate-mr", "prostatex-t2"),
            ("prostate-mr", "prostatex-diffusion"),
            ("prostate-mr", "prostatex-pd"),
            ("chest-xray", "montgomery"),
            ("chest-xray", "shenzhen"),
            ("fundus-photograph", "chase"),
            ("hand-xray", "radinformatics"),
        ),
        ("blood-smear", "liver-ultrasound", "knee-mr", "retina-oct"),
    ),
    Split(
        ("cardiac-mr", "chest-ct", "chest-xray"),
        (
            ("abdomen-ct", "totalseg"),
            ("brain-mr", "open-ms"),
            ("brain-mr", "pyradiomics"),
            ("breast-mr", "pyradiomics"),
            ("fundus-photograph", "drive"),
            ("hand-xray", "mednist"),
            ("histology", "gbm"),
        ),
        ("endoscopy", "mammography", "spine-mr", "wound", "hippocampus"),
    ),
    Split(
        ("breast-mr", "head-ct", "prostate-mr"),
        (
            ("abdomen-ct", "mednist"),
            ("brain-mr", "brats"),
            ("brain-mr", "wmh"),
            ("chest-ct", "chestct"),
            ("chest-ct", "hocm"),
            ("chest-xray", "jsrt"),
            ("chest-xray", "mednist"),
            ("chest-xray", "nih"),
        ),
        ("electron-microscopy", "fetal-ultrasound", "nuclei", "pet"),
    ),
)


@cache
def found() -> list[Entry]:
    """Every image of every set, read once."""
    return list(entries(400))


def routed(router: Router, of: list[Entry], classifier: str) -> list[Route]:
    return router.route_views([entry.views for entry in of], classifier)


def accuracy(of: list[Entry], routes: list[Route]) -> dict[str, object]:
    """Balanced over the categories, with a 95 % bootstrap interval over the images; ``known`` counts unknown as wrong."""
    right = np.array([route.category == entry.category for entry, route in zip(of, routes, strict=True)])
    names = np.array([entry.category for entry in of])
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(1000):
        rates = [right[rng.choice(np.flatnonzero(names == name), int((names == name).sum()))].mean() for name in sorted(set(names))]
        draws.append(np.mean(rates))
    rates = [right[names == name].mean() for name in sorted(set(names))]
    forced = [_best_known(route) == entry.category for entry, route in zip(of, routes, strict=True)]
    return {
        "images": len(of),
        "balanced": float(np.mean(rates)),
        "interval": [float(np.quantile(draws, q)) for q in (0.025, 0.975)],
        "balanced_without_unknown": float(np.mean([np.mean(np.array(forced)[names == name]) for name in sorted(set(names))])),
        "called_unknown": float(np.mean([route.category == UNKNOWN for route in routes])),
        "calibration_error": calibration_error(np.array([route.probability for route in routes]), right),
    }


def _best_known(route: Route) -> str:
    return next(score.category for score in route.scores if score.category != UNKNOWN)


def doubt(route: Route) -> float:
    """The odds of unknown beside the best category, on a log scale: what decides."""
    chance = {score.category: score.probability for score in route.scores}
    best = max(value for name, value in chance.items() if name != UNKNOWN)
    return float(np.log(chance[UNKNOWN] + 1e-300) - np.log(best + 1e-300))


def by_source(of: list[Entry], routes: list[Route]) -> list[dict[str, object]]:
    rows = []
    for key in sorted({entry.key for entry in of}):
        own = [(entry, route) for entry, route in zip(of, routes, strict=True) if entry.key == key]
        right = [float(route.category == key[0]) for _, route in own]
        others = sorted({route.category for _, route in own if route.category != key[0]})
        low, high = interval(right)
        counts = {name: sum(route.category == name for _, route in own) for name in others}
        subjects = len({entry.trained.subject for entry, _ in own})
        rows.append(
            {"category": key[0], "source": key[1], "images": len(own), "subjects": subjects, "right": int(sum(right))}
            | {"interval": [low, high], "taken_for": counts}
        )
    return rows


def shipped() -> dict[str, object]:
    router = Router.load()
    known = [e for e in found() if e.category != UNKNOWN and e.source.trained and e.part == "test"]
    unseen = [e for e in found() if e.category != UNKNOWN and not e.source.trained]
    outside = [e for e in found() if e.category == UNKNOWN and e.part == "test"]
    result: dict[str, object] = {"categories": list(router.categories)}
    for name in CLASSIFIERS:
        routes, others = routed(router, known, name), routed(router, outside, name)
        result[name] = {
            **accuracy(known, routes),
            "by_source": by_source(known, routes),
            "unseen_sources": by_source(unseen, routed(router, unseen, name)),
            "unknown": _unknown(outside, others, routes),
            "confusion": _confusion(router, known, routes),
            "changes": {change: _kept(router, known[::3], routes[::3], change, name) for change in CHANGES},
        }
    return result


def _confusion(router: Router, of: list[Entry], routes: list[Route]) -> list[list[int]]:
    names = [*router.categories, UNKNOWN]
    counts = np.zeros((len(router.categories), len(names)), int)
    for entry, route in zip(of, routes, strict=True):
        counts[names.index(entry.category), names.index(route.category)] += 1
    return counts.tolist()


def _unknown(outside: list[Entry], routes: list[Route], known: list[Route]) -> dict[str, object]:
    inside = [doubt(route) for route in known]
    rows = {}
    for source in sorted({entry.source.name for entry in outside}):
        own = [route for entry, route in zip(outside, routes, strict=True) if entry.source.name == source]
        trained = any(entry.source.trained for entry in outside if entry.source.name == source)
        rows[f"{source}{', others of which it was shown' if trained else ''}"] = _apart(inside, own)
    return rows


def _apart(inside: list[float], outside: list[Route]) -> dict[str, Any]:
    """How well doubt tells images of another kind from known ones (whose doubts are ``inside``)."""
    scores = [doubt(route) for route in outside]
    return {
        "images": len(outside),
        "auroc": auc(inside + scores, [False] * len(inside) + [True] * len(scores)),
        "called_unknown": float(np.mean([route.category == UNKNOWN for route in outside])),
    }


def _kept(router: Router, of: list[Entry], before: list[Route], change: str, classifier: str) -> dict[str, float]:
    """Share of the images that keep their category (the one that the unchanged image was given), by any classifier."""
    after = router.route_views([[changed(view, change) for view in entry.views] for entry in of], classifier)
    same = [a.category == b.category for a, b in zip(after, before, strict=True)]
    right = [a.category == entry.category for a, entry in zip(after, of, strict=True)]
    return {"kept": float(np.mean(same)), "right": float(np.mean(right)), "images": float(len(of))}


def without(number: int) -> dict[str, dict[str, Any]]:
    """A router that never saw some sources, categories and other kinds.

    sources : how it does on all images of the sources. categories, kinds : whether images of the categories and of the other kinds
    are more doubtful than test images of the categories and sources that it knows. known : how it does on these.
    """
    split = SPLITS[number]
    pool, aside = training(found(), split.sources, split.categories, split.kinds)
    router = router_of(pool, aside, "without", plan=Plan(), settings=SETTINGS)
    away = [entry for entry in found() if entry.key in split.sources]
    known = [
        e
        for e in found()
        if e.category not in {*split.categories, UNKNOWN} and e.key not in split.sources and e.source.trained and e.part == "test"
    ]
    result: dict[str, dict[str, Any]] = {}
    for name in CLASSIFIERS:
        routes = routed(router, known, name)
        inside = [doubt(route) for route in routes]
        left = {category: [e for e in found() if e.category == category] for category in split.categories}
        other = {kind: [e for e in found() if e.source.name == kind] for kind in split.kinds}
        result[name] = {
            "sources": by_source(away, routed(router, away, name)),
            "categories": {category: _apart(inside, routed(router, of, name)) for category, of in left.items()},
            "kinds": {kind: _apart(inside, routed(router, of, name)) for kind, of in other.items()},
            "known": accuracy(known, routes),
        }
        for row in result[name]["sources"]:
            row["patients_left"] = len({entry.subject.split("/", 1)[-1] for entry in pool if entry.category == row["category"]})
    return result


def speed(workers: int = 2, images: int = 400) -> dict[str, float]:
    """Images a second after decoding: views, features, both scores and the route, one image at a time, in ``workers`` processes:
    by the clock, and by their processor time, which other work on the machine hardly changes. The folder in MB; the start in
    seconds of processor time, without torch's own import.
    """
    found()  # before the workers are forked
    with ProcessPoolExecutor(workers, get_context("fork")) as pool:
        list(pool.map(_timed, [8] * workers))
        load = os.getloadavg()[0]
        busy = list(pool.map(_timed, [images] * workers))
    start = subprocess.run([sys.executable, "-c", _START], capture_output=True, text=True, check=True)
    torch_seconds, seconds = (float(value) for value in start.stdout.split())
    return {
        "images_per_second": float(sum(images / by_clock for by_clock, _ in busy)),
        "images_per_second_of_processors": float(sum(images / of_processor for _, of_processor in busy)),
        "load_average": load,
        "folder_mb": sum(file.stat().st_size for file in SHIPPED.iterdir()) / 1e6,
        "torch_seconds": torch_seconds,
        "start_seconds": seconds,
    }


_START = """
import time
import numpy as np
import torch
torch.set_num_threads(1)
imported = time.process_time()
from casewise.image import Image
from casewise.routing.router import Router
Router.load().route(Image(np.arange(4096, dtype=np.float32).reshape(1, 64, 64)))
print(imported, time.process_time() - imported)
"""


def _timed(count: int) -> tuple[float, float]:
    import torch

    from casewise.image import Image

    torch.set_num_threads(1)
    router = Router.load()
    pictures = [entry for entry in found() if entry.part == "test" and len(entry.views) == 1 and entry.views[0].ndim == 2]
    rng = np.random.default_rng(1)
    images = [Image((pictures[int(n)].views[0] * 255).astype(np.uint8)[None]) for n in rng.integers(len(pictures), size=count)]
    router.route(images[0])
    began, used = time.perf_counter(), time.process_time()
    for image in images:
        router.route(image)
    return time.perf_counter() - began, time.process_time() - used


def units(options: Namespace) -> Iterator[driver.Unit]:
    yield driver.Unit("shipped", shipped)
    yield driver.Unit("speed", speed)
    yield from (driver.Unit(f"without {number}", partial(without, number)) for number in range(len(SPLITS)))


def figures(units: driver.Rows) -> dict[str, Any]:
    splits = [found for name, found in units.items() if name.startswith("without")]
    former = json.loads(FORMER.read_text(encoding="utf-8"))["rows"]
    return tables(units["shipped"], units["speed"], splits, list(former.values()))


BENCHMARK = driver.Benchmark(
    "routing",
    __doc__,
    units,
    figures,
    after=lambda units: confusion_picture(units["shipped"], driver.RESULTS / "routing_confusion.png"),
)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
