"""Which network's vectors find the similar cases: the archive's encoder, the router's network, or the one that photographs taught.

Two questions, since an archive asks both: are the nearest images of the same kind, and do the labels of the nearest images lie
where those of the image do?
"""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from benchmarks import driver
from benchmarks.tables import table
from casewise.case import Case, Structure
from casewise.image import Image
from casewise.models.model import Model
from casewise.models.networks.efficient_net import DEVIATION, MIDDLE, EfficientNetLite
from casewise.models.shipped import default_encoder
from casewise.routing.route import UNKNOWN
from casewise.routing.router import Router
from casewise.statistics import interval
from experiments import cases as chests
from experiments.routing import SOURCES, cases, parts

MOST = 100  # test images of a source
NEAREST, VOTERS = 10, 5
_SLICES = (0.35, 0.5, 0.65)
_GRID = (128, 128)
Vector = np.ndarray
Vectors = dict[str, np.ndarray]


def encoders() -> dict[str, Callable[[Image], Vector]]:
    shipped, router = default_encoder("cpu"), Router.load().model
    learnt = {f"encoder.{key}": weight for key, weight in EfficientNetLite(3).pretrained().state_dict().items()}
    photographs = replace(router, weights={**{key: weight.float() for key, weight in router.weights.items()}, **learnt})
    return {
        "the archive's encoder": lambda image: shipped.encode([image])[0],
        "the router's network, last three stages": lambda image: _pooled(router, image, cells=False),
        "the router's network, with a 4 × 4 grid of the fifth stage": lambda image: _pooled(router, image, cells=True),
        "the same grid, learnt on photographs alone": lambda image: _pooled(photographs, image, cells=True),
    }


def _pooled(model: Model, image: Image, *, cells: bool) -> Vector:
    """The means of the last three stages, or of the last one beside a grid of the fifth, whose places then count too."""
    network, found = model.ready("cpu"), model.spec.preparation.parts(image)
    if len(found) > len(_SLICES):
        found = [found[int(share * len(found))] for share in _SLICES]
    with torch.inference_mode():
        x = (torch.stack([part.tensor() for part in found]) - MIDDLE) / DEVIATION
        levels = network.encoder.levels_of(x)  # type: ignore[union-attr,operator]
        grid = functional.adaptive_avg_pool2d(levels[4], 4).flatten(1)
        means = [level.mean(dim=(2, 3)) for level in levels[4:]]
        joined = torch.cat([grid, means[-1]] if cells else means, dim=1)
    return np.asarray(joined.mean(dim=0).numpy())


def _encoded(images: Iterable[Image]) -> tuple[Vectors, dict[str, float]]:
    """(vectors by encoder, milliseconds of processor time an image)."""
    made, spent, count = encoders(), dict.fromkeys(encoders(), 0.0), 0
    rows: dict[str, list[Vector]] = {name: [] for name in made}
    for image in images:
        count += 1
        for name, encode in made.items():
            began = time.process_time()
            rows[name].append(encode(image))
            spent[name] += time.process_time() - began
    return {name: np.array(of) for name, of in rows.items()}, {name: 1000 * value / count for name, value in spent.items()}


def _likeness(vectors: np.ndarray) -> np.ndarray:
    """(n, n) cosines, the mean taken off, as an archive compares."""
    centred = vectors - vectors.mean(axis=0)
    unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9)
    return np.asarray(unit @ unit.T)


def kinds() -> dict[str, Any]:
    """The share of the ten nearest that are of the image's kind, a row an encoder: over all test images, and of sources from which
    neither network learnt.
    """
    found: list[tuple[Case, str, bool]] = []
    for source in SOURCES:
        own = cases(source)
        where = parts(source, own)
        kept = [case for case in own if where[case.key] == "test"][:MOST]
        new = not source.trained and source.name != "hippocampus"  # the archive's encoder learnt from it
        found += [(case, source.category if source.category != UNKNOWN else source.name, new) for case in kept]
    vectors, spent = _encoded(case.image for case, _, _ in found)
    labels, subjects = np.array([kind for _, kind, _ in found]), np.array([str(case.subject) for case, _, _ in found])
    new = np.array([unseen for _, _, unseen in found])
    rows = []
    for name, of in vectors.items():
        hits = _hits(_likeness(of), labels, subjects)
        means = [_by_kind(hits, labels, among) for among in (np.ones(len(labels), bool), new)]
        rows.append({"encoder": name, "numbers": of.shape[1], "all": means[0], "new": means[1], "milliseconds": spent[name]})
    return {"rows": rows, "images": len(found), "kinds": len(set(labels)), "new": int(new.sum())}


def _hits(likeness: np.ndarray, labels: np.ndarray, subjects: np.ndarray) -> np.ndarray:
    """(n,) of each image, other subjects alone; NaN where no other of its kind is there."""
    hits = np.full(len(labels), np.nan)
    for number, row in enumerate(likeness):
        others = subjects != subjects[number]
        count = min(NEAREST, int((labels[others] == labels[number]).sum()))
        if count:
            order = np.argsort(-np.where(others, row, -2))[:count]
            hits[number] = np.mean(labels[order] == labels[number])
    return hits


def _by_kind(hits: np.ndarray, labels: np.ndarray, among: np.ndarray) -> float:
    used = among & ~np.isnan(hits)
    return float(np.mean([hits[used & (labels == kind)].mean() for kind in sorted(set(labels[used]))]))


def lungs() -> list[dict[str, Any]]:
    """A row an encoder: the Dice of the lungs that the five nearest films' outlines give together, of any and of other sites."""
    films = [(site, case) for site in chests.CHEST for case in chests.chest(site)]
    sites, subjects = np.array([site for site, _ in films]), np.array([str(case.subject) for _, case in films])
    masks = np.stack([_lungs(case) for _, case in films])
    vectors, _ = _encoded(case.image for _, case in films)
    vectors["drawn at random"] = np.random.default_rng(0).normal(size=(len(films), 64))
    rows = []
    for name, of in vectors.items():
        likeness = _likeness(of)
        dices = {
            where: [_dice(masks, row, masks[number], others[number] != others) for number, row in enumerate(likeness)]
            for where, others in (("any", subjects), ("other", sites))
        }
        rows.append({"encoder": name, "films": len(films), **{where: [round(d, 4) for d in of] for where, of in dices.items()}})
    return rows


def _lungs(case: Case) -> np.ndarray:
    mask = case.label_map([Structure.parse("lungs=lung+left_lung+right_lung")]) > 0
    return functional.interpolate(torch.from_numpy(mask[None, None].astype(np.float32)), _GRID, mode="area")[0, 0].numpy()


def _dice(masks: np.ndarray, likeness: np.ndarray, own: np.ndarray, allowed: np.ndarray) -> float:
    order = np.argsort(-np.where(allowed, likeness, -2))[:VOTERS]
    voted, truth = masks[order].mean(axis=0) > 0.5, own > 0.5
    return float(2 * (voted & truth).sum() / max(1, voted.sum() + truth.sum()))


def units(options: Namespace) -> Sequence[driver.Unit]:
    return [driver.Unit("kinds", kinds), driver.Unit("lungs", lungs)]


def figures(units: driver.Rows) -> Mapping[str, Any]:
    found = units["kinds"]
    lines = [
        [row["encoder"], row["numbers"], f"{row['all']:.3f}", f"{row['new']:.3f}", f"{row['milliseconds']:.1f}"]
        for row in found["rows"]
    ]
    transferred = [[row["encoder"], *(_mean(row[where]) for where in ("any", "other"))] for row in units["lungs"]]
    return {
        "kinds": table(["vectors of", "numbers", "all sources", "new sources", "ms an image"], lines),
        "lungs": table(["vectors of", "films of any site", "of other sites"], transferred),
        "about": found,
        "films": units["lungs"][0]["films"],
    }


def _mean(dices: Sequence[float]) -> str:
    low, high = interval(dices)
    return f"{np.mean(dices):.3f} ({low:.3f} to {high:.3f})"


BENCHMARK = driver.Benchmark("encoders", __doc__, units, figures)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
