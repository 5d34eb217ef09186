"""The detectors that are compared: each learns from the same windows, by the same steps, what one of three views of a film shows.

The encoder is frozen, so that what it sees of a film is computed once and serves every fold, seed and view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch

from casewise.chest.nodules.false_positive_reduction import in_lungs, lungs_of
from casewise.chest.nodules.films import Film as Prepared
from casewise.chest.nodules.synthetic import with_nodules
from casewise.chest.segments import PIXEL_MM, chest_segments
from casewise.image import Box
from casewise.irregularities.box_fusion import Detection, fused
from casewise.irregularities.detector import Map, odds, peaks
from casewise.irregularities.examples import Example, Row, mirrored, rows_of, spoilt
from casewise.irregularities.training import SETTINGS, FocalObjective, Irregularity, joined, measured, spec, started
from casewise.irregularities.views import Picture, View, views
from casewise.models import Model
from casewise.models.networks.segment_detector import BRANCHES, SegmentDetector, packed, unpacked
from casewise.training import fit
from experiments import store
from experiments.nodules.films import WORK, Film, films, prepared
from experiments.nodules.radiographs import box_about
from experiments.nodules.second_look import folds, rest

NODULE = "nodule"
NAME = "casewise-irregularities"
ARMS = ("reduced", "native", "both")
SEEDS = (0, 1)
VARIANTS = 2
REAL, DRAWN = 1.5, 0.7  # weights of real and of drawn nodules


@cache
def encoder() -> SegmentDetector:
    """The untrained detector that sees everything; what its encoder sees is kept."""
    network = started(NAME, spec(NODULE, "both", pixel_mm=PIXEL_MM, placing="lungs")).ready("cpu")
    assert isinstance(network, SegmentDetector)
    return network


def rows(film: Film) -> list[Row]:
    """Windows of a film in all its variants, kept on disk; none of one that the application refuses."""

    def made() -> dict[str, np.ndarray]:
        ready = prepared(film)
        found = [] if ready is None else [row for n in range(VARIANTS) for row in _variant(film, ready, n)]
        return {name: np.stack([row[place] for row in found]) for place, name in enumerate("xyw")} if found else {}

    path = WORK / "windows" / f"{film.folder}-{film.path.stem}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".part.npz")
        np.savez(beside, **made())  # not compressed: it is read again for every fold
        beside.rename(path)
    with np.load(path) as kept:
        return list(zip(kept["x"], kept["y"], kept["w"], strict=True)) if "x" in kept else []


def _variant(film: Film, ready: Prepared, number: int) -> list[Row]:
    """0 : the film as it is. Others : with drawn nodules, less sharp or with grain; odd ones mirrored."""
    rng = np.random.default_rng([9, int(film.key[:8], 16), number])
    scale = ready.enlarged
    boxes = [box_about(one.row * scale, one.column * scale, one.diameter * scale, ready.array.shape[1:]) for one in film.nodules]
    example = Example(ready.array[0], ready.regions, tuple(Irregularity(box, REAL) for box in boxes))
    if number:
        example = spoilt(with_nodules(example, ready.millimetres, rng, DRAWN), rng)
    if number % 2:
        example = mirrored(example)

    def cut(regions: dict[str, np.ndarray], held: tuple[Box, ...]):  # type: ignore[no-untyped-def]
        return chest_segments(regions, ready.millimetres, held)

    return rows_of(encoder(), example, cut, in_lungs, rng)


def arm_rows(found: Sequence[Row], arm: str) -> list[Row]:
    """The same windows as one of ``ARMS`` sees them."""
    if arm == "both":
        return list(found)
    levels = BRANCHES["both"]
    kept = [number for number, level in enumerate(levels) if level in BRANCHES[arm]]
    result = []
    for x, y, weights in found:
        parts = unpacked(torch.from_numpy(x)[None], levels)
        result.append((packed([parts[n] for n in kept] + [parts[-1]])[0].numpy(), y, weights))
    return result


def train(chosen: Sequence[Film], arm: str, seed: int, steps: int = SETTINGS.steps) -> Model:
    parts = [row for film in chosen for row in arm_rows(rows(film), arm)]
    samples = joined(parts, f"{arm}:{len(chosen)}:{sorted(film.key for film in chosen)[:1]}", [film.key for film in chosen])
    start = measured(started(NAME, spec(NODULE, arm, pixel_mm=PIXEL_MM, placing="lungs"), seed), samples)
    settings = replace(SETTINGS, seed=seed, steps=steps, device="cpu")
    return fit(start, samples, FocalObjective(), trainable=("heads",), settings=settings, method="initial")


def fold_model(number: int, arm: str, seed: int) -> Model:
    """Trained without a fold; kept on disk."""
    chosen = rest(folds(films()), number)
    return store.model(WORK / "folds" / f"{number}-{arm}-{seed}", lambda: train(chosen, arm, seed))


Found = dict[str, list[dict[str, object]]]


def seen_as(view: View, arm: str) -> View:
    levels = BRANCHES["both"]
    kept = [number for number, level in enumerate(levels) if level in BRANCHES[arm]]
    return replace(view, features=[view.features[n] for n in kept] + [view.features[-1]])


def found_in(film: Film, models: dict[str, Sequence[Model]], arms: dict[str, str], path: Path) -> dict[str, object] | None:
    """Candidates of a film by the mean of each name's models, kept on disk: with the lungs' boxes and the size of its pixels."""

    def made() -> dict[str, object] | None:
        ready = prepared(film)
        if ready is None:
            return None
        picture = Picture.of(ready.array[0])
        ways = [list(views(encoder(), picture, ready.segments, in_lungs, mirrored=flip)) for flip in (False, True)]
        result: dict[str, object] = {}
        for name, several in models.items():
            networks = [model.ready("cpu") for model in several]
            detections = []
            for both in zip(*ways, strict=True):
                answers = [odds(network, seen_as(view, arms[name])) for view in both for network in networks]  # type: ignore[arg-type]
                detections += peaks(Map(both[0], np.mean(answers, axis=0, dtype=np.float32)))
            result[name] = [asdict(one) for one in fused(detections)]
        if film.site == "JSRT" and "both" in models:
            result["noise"] = [asdict(one) for one in _without_native(ready, models["both"])]
        lungs = {side: asdict(box) for side, box in lungs_of(ready.regions).items()}
        return {"found": result, "lungs": lungs, "millimetres": ready.millimetres, "enlarged": ready.enlarged}

    return store.rows(path, made)


def _without_native(ready: Prepared, models: Sequence[Model]) -> list[Detection]:
    """Candidates where noise of the same mean and deviation stands for the segments' own pixels; the whole film stays."""
    picture = Picture.of(ready.array[0])
    noise = np.random.default_rng(0).standard_normal(picture.pixels.shape, dtype=np.float32) * picture.pixels.std()
    changed = Picture(noise + picture.pixels.mean())
    changed.__dict__["quarter"] = picture.quarter
    detections = []
    for view in views(encoder(), changed, ready.segments, in_lungs):
        answers = [odds(model.ready("cpu"), view) for model in models]  # type: ignore[arg-type]
        detections += peaks(Map(view, np.mean(answers, axis=0, dtype=np.float32)))
    return fused(detections)


def crossed() -> dict[str, dict[str, object] | None]:
    """film → candidates by every arm and seed of the networks that were trained without its fold, and by their mean (``mean``)."""
    result = {}
    for number, part in enumerate(folds(films())):
        names = {f"{arm}-{seed}": [fold_model(number, arm, seed)] for arm in ARMS for seed in SEEDS}
        for arm in ARMS:
            names[arm] = [fold_model(number, arm, seed) for seed in SEEDS]
        arms = {name: name.split("-")[0] for name in names}
        for film in part:
            result[film.name] = found_in(film, names, arms, WORK / "found" / f"{film.folder}-{film.path.stem}.json")
    return result
