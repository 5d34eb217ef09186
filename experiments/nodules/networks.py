"""The detectors that are compared: each head learns from the same windows, by the same steps, what one part of a film shows.

The encoder is frozen, so that what it sees of a film is computed once and serves every fold, seed and view.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache, partial
from typing import Any

import numpy as np

from casewise.chest.nodules.false_positive_reduction import in_lungs, lungs_of
from casewise.chest.nodules.films import Film as Prepared
from casewise.chest.nodules.synthetic import with_nodules
from casewise.chest.segments import PIXEL_MM, chest_segments
from casewise.image import Box
from casewise.irregularities.box_fusion import fused
from casewise.irregularities.detector import Map, odds, peaks, ready
from casewise.irregularities.examples import Example, Row, mirrored, rows_of, spoilt
from casewise.irregularities.training import SETTINGS, FocalObjective, Irregularity, joined, measured, spec, started, together
from casewise.irregularities.views import Floats, Picture, View, views
from casewise.models import Model
from casewise.models.networks.segment_detector import PARTS, SegmentDetector, levels_of
from casewise.models.spec import Spec
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
    return ready(started(NAME, described("both")))


def described(arm: str) -> Spec:
    return spec(NODULE, arm, pixel_mm=PIXEL_MM, placing="lungs", spots=True)


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


def train(chosen: Sequence[Film], part: str, seed: int, steps: int = SETTINGS.steps) -> Model:
    """One head, of one part of what the detector sees."""
    keys = [film.key for film in chosen]
    samples = joined((row for film in chosen for row in rows(film)), f"{len(chosen)}:{sorted(keys)[:1]}", keys)
    samples = samples.seen_by(part, spots=True)
    start = measured(started(NAME, described(part), seed), samples)
    settings = replace(SETTINGS, seed=seed, steps=steps, device="cpu")
    return fit(start, samples, FocalObjective(), trainable=("heads",), settings=settings, method="initial")


@cache
def fold_model(number: int, arm: str, seed: int) -> Model:
    """Trained without a fold; kept on disk. Of ``both`` parts: that of each, together."""
    if arm == "both":
        return together([fold_model(number, part, seed) for part in PARTS[arm]])
    chosen = rest(folds(films()), number)
    return store.model(WORK / "folds" / f"{number}-{arm}-{seed}", lambda: train(chosen, arm, seed))


def whole_model() -> Model:
    """Trained on all films: a head of each part and seed; each is kept on disk."""
    each = [(part, seed) for seed in SEEDS for part in PARTS["both"]]
    return together([store.model(WORK / "whole" / f"{part}-{seed}", partial(train, films(), part, seed)) for part, seed in each])


Kept = dict[str, Any]


def seen_as(view: View, part: str) -> View:
    levels = levels_of("both", spots=True)
    kept = [number for number, level in enumerate(levels) if level in levels_of(part, spots=True)]
    return replace(view, features=[view.features[n] for n in kept] + [view.features[-1]])


def found_in(film: Film, models: Mapping[tuple[str, int], Model]) -> Kept | None:
    """Candidates of a film by each of the heads (part, seed), by the mean of each part's, by ``both`` parts together, and by these
    where noise stands for the segments' own pixels; with the lungs' boxes and the size of its pixels. None where the application
    refuses the film.
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
        answers["noise"] = _answers(changed, ready_film, models)["both"]
    else:
        answers = {"both": answers["both"]}
    found = {name: [asdict(one) for one in fused(one for part in maps for one in peaks(part))] for name, maps in answers.items()}
    lungs = {side: asdict(box) for side, box in lungs_of(ready_film.regions).items()}
    return {"found": found, "lungs": lungs, "millimetres": ready_film.millimetres, "enlarged": ready_film.enlarged}


def _answers(picture: Picture, film: Prepared, models: Mapping[tuple[str, int], Model]) -> dict[str, list[Map]]:
    """name → each segment's map."""
    result: dict[str, list[Map]] = {}
    seeds = sorted({seed for _, seed in models})
    for view in views(encoder(), picture, film.segments, in_lungs):
        own = {f"{part}-{seed}": odds(ready(model), seen_as(view, part)) for (part, seed), model in models.items()}
        own |= {f"both-{seed}": mean([own[f"{part}-{seed}"] for part in PARTS["both"]]) for seed in seeds}
        own |= {arm: mean([own[f"{arm}-{seed}"] for seed in seeds]) for arm in ARMS}
        for name, answer in own.items():
            result.setdefault(name, []).append(Map(view, answer))
    return result


def mean(answers: Sequence[Floats]) -> Floats:
    return np.mean(answers, axis=0, dtype=np.float32)


def crossed() -> dict[str, Kept | None]:
    """film → :func:`found_in` by the networks that were trained without its fold, kept on disk."""
    result = {}
    for number, part in enumerate(folds(films())):
        for film in part:

            def made(film: Film = film, number: int = number) -> Kept | None:
                return found_in(film, {(part, seed): fold_model(number, part, seed) for part in PARTS["both"] for seed in SEEDS})

            result[film.name] = store.rows(WORK / "found" / f"{film.folder}-{film.path.stem}.json", made)
    return result
