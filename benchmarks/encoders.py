"""Which network's vectors find the similar cases: the archive's encoder, the one before it, or the router's network.

Two questions, since an archive asks both: are the nearest images of the same kind, and do the labels of the nearest images lie
where those of the image do?
"""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from benchmarks import driver
from benchmarks.tables import mean, table
from casewise.case import Case, Structure
from casewise.encoder import Encoder
from casewise.image import Image
from casewise.models.model import Model
from casewise.models.networks.efficient_net import DEVIATION, MIDDLE, EfficientNetLite
from casewise.models.shipped import default_encoder
from casewise.models.shipped.waiting import WaitingEncoder
from casewise.routing.route import UNKNOWN
from casewise.routing.router import Router
from casewise.statistics import paired_p
from experiments import cases as chests
from experiments.autoencoder import autoencoder
from experiments.routing import SOURCES, cases, parts

MOST = 100  # test images of a source
NEAREST, VOTERS = 10, 5
OURS, BEFORE, RANDOM = "the archive's encoder", "an autoencoder from nothing (the encoder before)", "drawn at random"
_EVERY = 20  # of the test images one is timed
_SLICES = (0.35, 0.5, 0.65)
_GRID = (128, 128)
Vector = np.ndarray
Vectors = dict[str, np.ndarray]


def encoders() -> dict[str, Callable[[], Callable[[Image], Vector]]]:
    """What loads each."""
    return {
        OURS: lambda: _alone(default_encoder("cpu")),
        BEFORE: lambda: _alone(autoencoder().encoder("cpu")),
        "the router's network, last three stages": lambda: partial(_pooled, Router.load().model, cells=False),
        "the router's network, with a 4 × 4 grid of the fifth stage": lambda: partial(_pooled, Router.load().model, cells=True),
        "the same grid, learnt on photographs alone": lambda: partial(_pooled, _photographs(), cells=True),
    }


def _alone(encoder: Encoder) -> Callable[[Image], Vector]:
    return lambda image: encoder.encode([image])[0]


def _photographs() -> Model:
    """The router's network with the weights that it began with."""
    router = Router.load().model
    learnt = {f"encoder.{key}": weight for key, weight in EfficientNetLite(3).pretrained().state_dict().items()}
    return replace(router, weights={**{key: weight.float() for key, weight in router.weights.items()}, **learnt})


def _pooled(model: Model, image: Image, cells: bool) -> Vector:
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


def _encoded(name: str, images: Iterable[Image]) -> np.ndarray:
    encode = encoders()[name]()
    return np.array([encode(image) for image in images])


def _likeness(vectors: np.ndarray) -> np.ndarray:
    """(n, n) cosines, the mean taken off, as an archive compares."""
    centred = vectors - vectors.mean(axis=0)
    unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9)
    return np.asarray(unit @ unit.T)


def _tested() -> list[tuple[Case, str, bool]]:
    """(case, its kind, whether it is of a source from which none of the encoders learnt)."""
    found: list[tuple[Case, str, bool]] = []
    for source in SOURCES:
        own = cases(source)
        where = parts(source, own)
        kept = [case for case in own if where[case.key] == "test"][:MOST]
        new = not source.trained and source.name != "hippocampus"  # the autoencoder learnt from it
        found += [(case, source.category if source.category != UNKNOWN else source.name, new) for case in kept]
    return found


def kinds(name: str) -> dict[str, Any]:
    """The share of the ten nearest that are of the image's kind: over all test images, and of sources from which none learnt."""
    found = _tested()
    vectors = _encoded(name, (case.image for case, _, _ in found))
    labels, subjects = np.array([kind for _, kind, _ in found]), np.array([str(case.subject) for case, _, _ in found])
    new = np.array([unseen for _, _, unseen in found])
    hits = _hits(_likeness(vectors), labels, subjects)
    means = [_by_kind(hits, labels, among) for among in (np.ones(len(labels), bool), new)]
    about = {"images": len(found), "kinds": len(set(labels)), "new_images": int(new.sum())}
    return about | {"numbers": vectors.shape[1], "all": means[0], "new": means[1]}


def times() -> dict[str, float]:
    """Milliseconds of processor time an image, all encoders in turn on each of some test images and chest films."""
    images = [case.image for case, _, _ in _tested()[::_EVERY]] + [chests.chest(site)[0].image for site in chests.CHEST]
    made = {name: make() for name, make in encoders().items()}
    spent = dict.fromkeys(made, 0.0)
    for image in images:
        for name, encode in made.items():
            began = time.process_time()
            encode(image)
            spent[name] += time.process_time() - began
    return {name: 1000 * value / len(images) for name, value in spent.items()}


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


def lungs(name: str) -> dict[str, Any]:
    """The Dice of the lungs that the five nearest films' outlines give together, of any and of other sites, film by film."""
    films = [(site, case) for site in chests.CHEST for case in chests.chest(site)]
    sites, subjects = np.array([site for site, _ in films]), np.array([str(case.subject) for _, case in films])
    masks = np.stack([_lungs(case) for _, case in films])
    of = (
        np.random.default_rng(0).normal(size=(len(films), 64))
        if name == RANDOM
        else _encoded(name, (case.image for _, case in films))
    )
    likeness = _likeness(of)
    return {
        where: [round(_dice(masks, row, masks[number], others[number] != others), 4) for number, row in enumerate(likeness)]
        for where, others in (("any", subjects), ("other", sites))
    }


def _lungs(case: Case) -> np.ndarray:
    mask = case.label_map([Structure.parse("lungs=lung+left_lung+right_lung")]) > 0
    return functional.interpolate(torch.from_numpy(mask[None, None].astype(np.float32)), _GRID, mode="area")[0, 0].numpy()


def _dice(masks: np.ndarray, likeness: np.ndarray, own: np.ndarray, allowed: np.ndarray) -> float:
    order = np.argsort(-np.where(allowed, likeness, -2))[:VOTERS]
    voted, truth = masks[order].mean(axis=0) > 0.5, own > 0.5
    return float(2 * (voted & truth).sum() / max(1, voted.sum() + truth.sum()))


def units(options: Namespace) -> Sequence[driver.Unit]:
    key = WaitingEncoder().key
    keys = {name: key if name == OURS else "" for name in encoders()}
    found = [driver.Unit(f"kinds, {name}", partial(kinds, name), own) for name, own in keys.items()]
    found += [driver.Unit(f"lungs, {name}", partial(lungs, name), own) for name, own in {**keys, RANDOM: ""}.items()]
    return [*found, driver.Unit("times", times, key)]


def figures(units: driver.Rows) -> Mapping[str, Any]:
    found, spent = {name: units[f"kinds, {name}"] for name in encoders()}, units["times"]
    lines = [[name, row["numbers"], f"{row['all']:.3f}", f"{row['new']:.3f}", f"{spent[name]:.1f}"] for name, row in found.items()]
    transferred = {name: units[f"lungs, {name}"] for name in (*encoders(), RANDOM)}
    laid = [[name, *(cell for where in ("any", "other") for cell in _against(transferred, name, where))] for name in transferred]
    return {
        "kinds": table(["vectors of", "numbers", "all sources", "new sources", "ms an image"], lines),
        "lungs": table(["vectors of", "films of any site", "p", "of other sites", "p"], laid),
        "about": found[OURS],
        "films": len(transferred[OURS]["any"]),
    }


def _against(rows: Mapping[str, Any], name: str, where: str) -> tuple[str, str]:
    """(mean with interval, p of the archive's encoder against it on the same films)."""
    ours, own = rows[OURS][where], rows[name][where]
    return mean(own), "" if name == OURS else f"{paired_p(ours, own):.2g}"


BENCHMARK = driver.Benchmark("encoders", __doc__, units, figures)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
