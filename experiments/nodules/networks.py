"""The three detectors that are compared, each trained on the same crops for the same number of steps, and what each finds.

All three begin with one network that was trained on synthetic nodules in NLM's films. These have 512 pixels,
so it saw the whole image alone; where native pixels are seen, its first layer takes their mean to begin with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial

import torch
from torch import Tensor

from casewise.case import Case
from casewise.chest.nodules.box_fusion import Detection, fused
from casewise.chest.nodules.detector import detections_in
from casewise.chest.nodules.training import Examples, FocalObjective, joined, spec
from casewise.chest.nodules.views import PIXEL_MM, View, views
from casewise.chest.segments import chest_segments
from casewise.models import Model
from casewise.models.networks.heatmap import NATIVE
from casewise.training import Settings, fit
from experiments import store
from experiments.nodules.normals import chests, normals
from experiments.nodules.radiographs import WORK, Radiograph, bank, chest_bank

ARMS = ("reduced", "native", "both")
FOLDS = 5
BATCH = 8
ASIDE = 4
MEMBERS = {"normals": "learnt from healthy films", "chests": "learnt from all films"}
MEAN = "mean of the two"
FIRST = Settings(steps=6000, batch=BATCH, rate=1.5e-3, augmentation="none", device="cpu", mixed=True)
THEN = Settings(steps=250, batch=BATCH, rate=6e-4, augmentation="none", device="cpu", mixed=True)
KEPT = 60  # findings an image that are kept


def folds(films: Sequence[Radiograph]) -> list[list[int]]:
    """Numbers of each fold's radiographs (one a patient): those with nodules by subtlety, and those without, spread over all."""
    order = sorted(range(len(films)), key=lambda n: (films[n].nodules[0].subtlety if films[n].nodules else 0, films[n].name))
    return [sorted(order[start::FOLDS]) for start in range(FOLDS)]


def first(member: str, seed: int = 0) -> Model:
    """Trained on synthetic nodules in films of other sites, the healthy alone (``normals``) or all (``chests``); kept on disk.

    Every fourth healthy one is set aside.
    """
    return store.model(WORK / "first" / f"{member}-{seed}", lambda: _first(member, seed))


def _first(member: str, seed: int) -> Model:
    healthy, every = len(normals()), chests()
    numbers = [n for n in range(healthy) if n % ASIDE != seed % ASIDE]
    numbers += range(healthy, len(every)) if member == "chests" else ()
    examples = joined(chest_bank(numbers), f"{member}-{seed}", cases=[every[number].key for number in numbers])
    start = Model.initial("casewise-irregularities", spec("reduced"), seed)
    checkpoint = WORK / "first" / f"{member}-{seed}.part"
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    settings = replace(FIRST, seed=seed)
    return fit(start, examples, FocalObjective(), settings=settings, method="initial", checkpoint=checkpoint)


def together(models: Sequence[Model]) -> Model:
    """One model whose log-odds are the mean of theirs."""
    described = models[0].spec
    several = replace(described, network={**described.network, "members": len(models)})
    weights = {f"members.{n}.{name}": value for n, model in enumerate(models) for name, value in model.weights.items()}
    trained_on: frozenset[str] = frozenset().union(*(model.trained_on for model in models))
    return Model(models[0].name, several, weights, replace(models[-1].lineage, trained_on=trained_on))


def widened(model: Model, arm: str) -> Model:
    """The same network with the first layer of another arm."""
    stem = model.weights["stem.weight"]
    native = stem.repeat(1, NATIVE, 1, 1) / NATIVE
    stems = {"reduced": stem, "native": native, "both": torch.cat([native / 2, stem / 2], dim=1)}
    weights: Mapping[str, Tensor] = {**model.weights, "stem.weight": stems[arm].contiguous()}
    return Model(model.name, spec(arm), weights, model.lineage)


def examples_of(films: Sequence[Radiograph], numbers: Sequence[int]) -> Examples:
    keys = [Case.of(films[n].image, name=films[n].name, site="jsrt").key for n in numbers]
    return joined([bank(films[n], n) for n in numbers], ",".join(films[n].name for n in numbers), cases=keys)


def train(films: Sequence[Radiograph], numbers: Sequence[int], arm: str, seed: int, examples: Examples) -> Model:
    return fit(widened(first("chests", seed), arm), examples, FocalObjective(), settings=replace(THEN, seed=seed))


def seen(film: Radiograph) -> list[View]:
    return list(views(chest_segments(film.regions, PIXEL_MM), film.image.array[:1], PIXEL_MM, native=True))


def found_by(models: Sequence[Model], film: Radiograph) -> list[list[Detection]]:
    """What each model finds in a radiograph, merged."""
    return [fused(found)[:KEPT] for found in detections_in([model.ready("cpu") for model in models], seen(film))]


Found = dict[str, list[Detection]]  # film → what is found in it


def _kept(name: str, make: Callable[[], Found]) -> Found:
    rows = store.rows(
        WORK / "found" / f"{name}.json", lambda: {film: [asdict(one) for one in here] for film, here in make().items()}
    )
    return {film: [Detection(**one) for one in here] for film, here in rows.items()}


def unseen(films: Sequence[Radiograph]) -> dict[str, Found]:
    """What each member, and their mean, finds in every radiograph before it is trained on any of JSRT."""
    found = {words: _found(f"first-{member}", films, (member,)) for member, words in MEMBERS.items()}
    return {**found, MEAN: _found("first-mean", films, tuple(MEMBERS))}


def _found(name: str, films: Sequence[Radiograph], members: Sequence[str]) -> Found:
    def made() -> Found:
        models = [first(member) for member in members]
        model = together(models) if len(models) > 1 else models[0]
        return {film.name: found_by([model], film)[0] for film in films}

    return _kept(name, made)


def crossed(films: Sequence[Radiograph], seed: int = 0) -> dict[str, Found]:
    """For each arm what it finds in every radiograph when trained without its fold; what is kept on disk is not done again."""
    found: dict[str, Found] = {arm: {} for arm in ARMS}
    for number, fold in enumerate(folds(films)):
        for arm in ARMS:
            found[arm] |= _kept(f"{arm}-{seed}-{number}", partial(_crossed, films, fold, arm, seed))
    return found


def _crossed(films: Sequence[Radiograph], fold: Sequence[int], arm: str, seed: int) -> Found:
    others = [n for n in range(len(films)) if n not in fold]
    model = train(films, others, arm, seed, examples_of(films, others))
    return {films[n].name: found_by([model], films[n])[0] for n in fold}
