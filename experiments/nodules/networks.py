"""The detectors that are compared: each learns from the same windows, by the same steps, what one of three views of a film shows.

The encoder is frozen, so that what it sees of a film is computed once and serves every fold, seed and view.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from typing import Any

import numpy as np
import torch

from casewise.chest.nodules.false_positive_reduction import in_lungs, lungs_of
from casewise.chest.nodules.films import Film as Prepared
from casewise.chest.nodules.synthetic import with_nodules
from casewise.chest.segments import PIXEL_MM, chest_segments
from casewise.image import Box
from casewise.irregularities.box_fusion import fused
from casewise.irregularities.detector import Map, odds, peaks, ready
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
    return ready(started(NAME, spec(NODULE, "both", pixel_mm=PIXEL_MM, placing="lungs")))


@cache
def rows(film: Film) -> list[Row]:
    """Windows of a film in all its variants, kept on disk; none of one that the application refuses."""

    def made() -> dict[str, np.ndarray]:
        own = prepared(film)
        found = [] if own is None else [row for n in range(VARIANTS) for row in variant(film, own, n, encoder())]
        return {name: np.stack([row[place] for row in found]) for place, name in enumerate("xyw")} if found else {}

    path = WORK / "windows" / f"{film.folder}-{film.path.stem}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".part.npz")
        np.savez(beside, **made())  # not compressed: it is read again for every fold
        beside.rename(path)
    with np.load(path) as kept:
        return list(zip(kept["x"], kept["y"], kept["w"], strict=True)) if "x" in kept else []


def variant(film: Film, own: Prepared, number: int, network: SegmentDetector) -> list[Row]:
    """As ``network`` sees it. 0 : the film as it is. Others : with drawn nodules, less sharp or with grain; odd ones mirrored."""
    rng = np.random.default_rng([9, int(film.key[:8], 16), number])
    scale = own.enlarged
    boxes = [box_about(one.row * scale, one.column * scale, one.diameter * scale, own.array.shape[1:]) for one in film.nodules]
    example = Example(own.array[0], own.regions, tuple(Irregularity(box, REAL) for box in boxes))
    if number:
        example = spoilt(with_nodules(example, own.millimetres, rng, DRAWN), rng)
    if number % 2:
        example = mirrored(example)

    def cut(regions: dict[str, np.ndarray], held: tuple[Box, ...]):  # type: ignore[no-untyped-def]
        return chest_segments(regions, own.millimetres, held)

    return rows_of(network, example, cut, in_lungs, rng)


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


@cache
def fold_model(number: int, arm: str, seed: int) -> Model:
    """Trained without a fold; kept on disk."""
    chosen = rest(folds(films()), number)
    return store.model(WORK / "folds" / f"{number}-{arm}-{seed}", lambda: train(chosen, arm, seed))


def whole_model(arm: str, seed: int) -> Model:
    """Trained on all films; kept on disk."""
    return store.model(WORK / "whole" / f"{arm}-{seed}", lambda: train(films(), arm, seed))


Kept = dict[str, Any]


def seen_as(view: View, arm: str) -> View:
    levels = BRANCHES["both"]
    kept = [number for number, level in enumerate(levels) if level in BRANCHES[arm]]
    return replace(view, features=[view.features[n] for n in kept] + [view.features[-1]])


def found_in(film: Film, models: Mapping[tuple[str, int], Model]) -> Kept | None:
    """Candidates of a film by each of the models (arm, seed), by the mean of each arm's, and by that of ``both`` where noise stands
    for the segments' own pixels; with the lungs' boxes and the size of its pixels. None where the application refuses the film.
    """
    ready_film = prepared(film)
    if ready_film is None:
        return None
    picture = Picture.of(ready_film.array[0])
    answers = _answers(picture, ready_film, models)
    if film.site == "JSRT":
        noise = np.random.default_rng(0).standard_normal(picture.pixels.shape, dtype=np.float32) * picture.pixels.std()
        changed = Picture(noise + picture.pixels.mean())
        changed.__dict__["quarter"] = picture.quarter  # the whole film stays
        both = {key: model for key, model in models.items() if key[0] == "both"}
        answers["noise"] = _answers(changed, ready_film, both)["both"]
    found = {name: [asdict(one) for one in fused(one for part in maps for one in peaks(part))] for name, maps in answers.items()}
    lungs = {side: asdict(box) for side, box in lungs_of(ready_film.regions).items()}
    return {"found": found, "lungs": lungs, "millimetres": ready_film.millimetres, "enlarged": ready_film.enlarged}


def _answers(picture: Picture, film: Prepared, models: Mapping[tuple[str, int], Model]) -> dict[str, list[Map]]:
    """name → each segment's map."""
    result: dict[str, list[Map]] = {}
    for view in views(encoder(), picture, film.segments, in_lungs):
        own = {(arm, seed): odds(ready(model), seen_as(view, arm)) for (arm, seed), model in models.items()}
        for (arm, seed), answer in own.items():
            result.setdefault(f"{arm}-{seed}", []).append(Map(view, answer))
        for arm in dict.fromkeys(arm for arm, _ in models):
            mean = np.mean([answer for key, answer in own.items() if key[0] == arm], axis=0, dtype=np.float32)
            result.setdefault(arm, []).append(Map(view, mean))
    return result


def crossed() -> dict[str, Kept | None]:
    """film → :func:`found_in` by the networks that were trained without its fold, kept on disk; other sites' by ``both`` alone."""
    result = {}
    for number, part in enumerate(folds(films())):
        for film in part:
            arms = ARMS if film.site == "JSRT" else ("both",)

            def made(film: Film = film, number: int = number, arms: Sequence[str] = arms) -> Kept | None:
                return found_in(film, {(arm, seed): fold_model(number, arm, seed) for arm in arms for seed in SEEDS})

            result[film.name] = store.rows(WORK / "found" / f"{film.folder}-{film.path.stem}.json", made)
    return result
