"""A detector that learnt from no film of a site, adapted to the site by its films with boxes: similar ones, random ones, or all.

The site is JSRT. What is done for a film is what ``--adapt similar`` does with other models: the heads are trained for some steps
on films that the detector was not trained on, and the mean of its and the refined weights answers.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from casewise.adaptation import refinement
from casewise.chest.nodules.false_positive_reduction import in_lungs
from casewise.chest.nodules.films import Film as Prepared
from casewise.device import faster
from casewise.irregularities.box_fusion import Detection, fused
from casewise.irregularities.detector import Map, odds, peaks, ready
from casewise.irregularities.training import SETTINGS, FocalObjective, joined, measured, started
from casewise.irregularities.views import QUARTER, Picture, View, reduced, views
from casewise.models import Model
from casewise.models.averaging import between
from casewise.models.networks.segment_detector import WHOLE
from casewise.training import Settings, fit
from experiments import store
from experiments.nodules.films import Film, films, prepared
from experiments.nodules.networks import NAME, described, encoder, fold_model, rows
from experiments.nodules.second_look import folds

WORK = store.WORK / "similar"
SITE, ARM = "JSRT", "both"
COUNTS = (8, 16)
DRAWS = 3  # at random, a fold and count
SIMILAR = "similar"
WAYS = {SIMILAR: COUNTS, "random": COUNTS, "site": COUNTS[:1]}
SHARES = {"": 0.5, ", all the way": 1.0}  # how far the refined weights are followed
REFINED = replace(SETTINGS, steps=refinement.REFINEMENT.steps, batch=refinement.REFINEMENT.batch, rate=refinement.REFINEMENT.rate)
CONTINUED = replace(SETTINGS, steps=200, rate=1e-3)
EVERYTHING = "everything"


@cache
def initial() -> Model:
    """Trained on the films of the other sites, which show drawn nodules alone; kept on disk."""
    return store.model(WORK / "initial", lambda: _initial([film for film in films() if film.site != SITE]))


def _initial(chosen: Sequence[Film]) -> Model:
    samples = joined([row for film in chosen for row in rows(film)], f"{ARM}:{len(chosen)}", [film.key for film in chosen])
    start = measured(started(NAME, described(ARM)), samples)
    settings = replace(SETTINGS, device="cpu", mixed=True)
    return fit(start, samples, FocalObjective(), trainable=("heads",), settings=settings, method="initial")


@cache
def pooled(film: Film) -> np.ndarray:
    """Mean and deviation, over the lungs, of every channel that the pretrained encoder gives of the reduced film; kept on disk.

    Empty of a film that the application refuses.
    """

    def made() -> dict[str, np.ndarray]:
        there = prepared(film)
        return {"pooled": np.zeros(0) if there is None else _pooled(there)}

    return store.arrays(WORK / "pooled" / f"{film.folder}-{film.path.stem}.npz", made)["pooled"]


def _pooled(there: Prepared) -> np.ndarray:
    picture = Picture.of(there.array[0])
    lungs = np.logical_or.reduce([mask for name, mask in there.regions.items() if name.endswith("lung")])
    lungs = np.pad(lungs, [(0, n - m) for n, m in zip(picture.pixels.shape, lungs.shape, strict=True)])
    tensor = torch.from_numpy(picture.quarter)[None, None]
    with torch.inference_mode(), faster("cpu"):
        levels = encoder().encoded(tensor, WHOLE, QUARTER)
    values: list[np.ndarray] = []
    for level, answer in zip(WHOLE, levels, strict=True):
        own = answer[0].float().numpy()[:, reduced(lungs.astype(np.float32), level.step) >= 0.5]
        values += [own.mean(axis=1), own.std(axis=1)]
    return np.concatenate(values)


@cache
def archive(number: int) -> tuple[list[Film], list[Film]]:
    """(the site's films outside a fold, those that the initial detector was trained on)."""
    aside = {film.name for film in folds(films())[number]}
    site = [film for film in films() if film.site == SITE and film.name not in aside and len(pooled(film))]
    return site, [film for film in films() if film.site != SITE]


def trained_on(model: Model, chosen: Sequence[Film], settings: Settings = REFINED, method: str = "similar") -> Model:
    """The heads trained on ``chosen``, in the variants that the detector itself learns from: with drawn nodules in one."""
    samples = joined([row for film in chosen for row in rows(film)], f"{method}:{len(chosen)}", [film.key for film in chosen])
    settings = replace(settings, device="cpu", mixed=True)
    return fit(model, samples, FocalObjective(), trainable=("heads",), settings=settings, method=method)


@cache
def continued(number: int) -> Model:
    """Trained on once with all of the grown archive; kept on disk."""
    site, known = archive(number)
    return store.model(
        WORK / "continued" / str(number), lambda: trained_on(initial(), [*site, *known], CONTINUED, method="continued")
    )


def by_similarity(film: Film, among: Sequence[Film]) -> list[Film]:
    """``among``, most similar first, by the cosine of what the pretrained encoder sees of the lungs, standardised over them."""
    vectors = np.stack([pooled(one) for one in among])
    mean, spread = vectors.mean(axis=0), vectors.std(axis=0) + 1e-6
    own = (pooled(film) - mean) / spread
    others = (vectors - mean) / spread
    cosine = others @ own / (np.linalg.norm(others, axis=1) * np.linalg.norm(own))
    return [among[n] for n in np.argsort(-cosine, kind="stable")]


def chosen_for(film: Film, number: int, way: str, count: int) -> list[Film]:
    """Films that refine the model. ``similar`` ones are new to it, as the product chooses them."""
    return by_similarity(film, archive(number)[0])[:count] if way == SIMILAR else drawn(number, way, count, draw_of(film))


def drawn(number: int, way: str, count: int, draw: int) -> list[Film]:
    """``count`` films at random: of the grown archive (``random``), or of its films of the site (``site``)."""
    site, known = archive(number)
    among = site if way == "site" else [*site, *known]
    return [among[n] for n in np.random.default_rng([7, number, draw]).permutation(len(among))[:count]]


def draw_of(film: Film) -> int:
    return int(film.key[:8], 16) % DRAWS


@lru_cache(DRAWS * 4)
def by_drawn(number: int, way: str, count: int, draw: int) -> tuple[Model, float]:
    """(refined on films drawn at random, processor seconds); the films of a fold take turns with ``DRAWS`` draws."""
    return _timed(drawn(number, way, count, draw))


def refined_for(film: Film, number: int, way: str, count: int) -> tuple[Model, float]:
    if way == SIMILAR:
        return _timed(chosen_for(film, number, way, count))
    return by_drawn(number, way, count, draw_of(film))


def _timed(chosen: Sequence[Film]) -> tuple[Model, float]:
    for one in chosen:
        rows(one)  # read before the time is taken
    began = time.process_time()
    refined = trained_on(initial(), chosen)
    return refined, time.process_time() - began


def found_in(film: Film, number: int) -> dict[str, Any] | None:
    """way and count → candidates of a film of fold ``number``, in the film's own pixels; None where it is refused."""
    viewed = _views(film)
    if viewed is None:
        return None
    every, enlarged = viewed
    start = initial()
    found: dict[str, list[Detection]] = {"nothing": marks(start, every), "continued": marks(continued(number), every)}
    found[EVERYTHING] = marks(fold_model(number, ARM, 0), every)
    seconds: dict[str, float] = {}
    for way, counts in WAYS.items():
        for count in counts:
            refined, seconds[f"{way} {count}"] = refined_for(film, number, way, count)
            for words, share in SHARES.items():
                if share < 1 or way == SIMILAR:
                    found[f"{way} {count}{words}"] = marks(between(start, refined, share), every)
    return {"found": {name: _kept(marked, enlarged) for name, marked in found.items()}, "seconds": seconds}


def of_the_site(film: Film, number: int, count: int) -> int:
    """How many of the ``count`` most similar films of the grown archive, known ones among them, are of the site."""
    site, known = archive(number)
    nearest = by_similarity(film, [*site, *(one for one in known if len(pooled(one)))])
    return sum(one.site == SITE for one in nearest[:count])


def _views(film: Film) -> tuple[list[View], float] | None:
    there = prepared(film)
    if there is None:
        return None
    return list(views(encoder(), Picture.of(there.array[0]), there.segments, in_lungs)), there.enlarged


def marks(model: Model, every: Sequence[View]) -> list[Detection]:
    """As the product marks."""
    network = ready(model)
    with faster("cpu"):
        return fused(one for view in every for one in peaks(Map(view, odds(network, view))))


def _kept(found: Sequence[Detection], enlarged: float) -> list[list[float]]:
    scaled = [one.scaled(1 / enlarged) for one in sorted(found, key=lambda one: -one.probability)[:60]]
    return [[round(one.row, 1), round(one.column, 1), round(one.edge, 1), one.probability] for one in scaled]


def site_films(number: int, most: int | None = None) -> list[Film]:
    """The site's films of a fold, or the first ``most`` of them; in an order by which the first ones have all sorts of nodules."""
    own = [film for film in folds(films())[number] if film.site == SITE]
    return [*own[::2], *own[1::2]][:most]


def fold_rows(number: int, most: int | None = None) -> Iterator[tuple[Film, dict[str, Any] | None]]:
    for film in site_films(number, most):
        yield film, store.rows(path_of("found", film), lambda film=film: found_in(film, number))


def path_of(folder: str, film: Film) -> Path:
    return WORK / folder / f"{film.folder}-{film.path.stem}.json"
