"""The three detectors that are compared, each trained on the same crops for the same number of steps, and what each finds.

All three begin with one network that was trained on synthetic nodules in NLM's films. These have 512 pixels,
so it saw the whole image alone; where native pixels are seen, its first layer takes their mean to begin with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import torch
from torch import Tensor

from casewise.case import Case
from casewise.chest.nodules.box_fusion import Detection, fused
from casewise.chest.nodules.detector import told
from casewise.chest.nodules.training import Examples, Marks, joined, spec
from casewise.chest.nodules.views import PIXEL_MM, View, views
from casewise.chest.segments import chest_segments
from casewise.models import Model
from casewise.models.networks.heatmap import NATIVE
from casewise.training import Settings, fit
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
    path = WORK / "first" / f"{member}-{seed}"
    if not path.exists():
        healthy, every = len(normals()), chests()
        numbers = [n for n in range(healthy) if n % ASIDE != seed % ASIDE]
        numbers += range(healthy, len(every)) if member == "chests" else ()
        source = joined(chest_bank(numbers), f"{member}-{seed}")
        start = Model.initial("casewise-irregularities", spec("reduced"), seed)
        settings = replace(FIRST, seed=seed)
        part = path.with_suffix(".part")
        part.parent.mkdir(parents=True, exist_ok=True)
        cases = [every[number] for number in numbers]
        fit(start, cases, settings=settings, method="initial", source=source, objective=Marks(), checkpoint=part).save(path)
    return Model.load(path)


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
    return joined([bank(films[n], n) for n in numbers], ",".join(films[n].name for n in numbers))


def train(films: Sequence[Radiograph], numbers: Sequence[int], arm: str, seed: int, examples: Examples) -> Model:
    cases = [Case.of(films[n].image, name=films[n].name, site="jsrt") for n in numbers]
    return fit(widened(first("chests", seed), arm), cases, settings=replace(THEN, seed=seed), source=examples, objective=Marks())


def seen(film: Radiograph) -> list[View]:
    return list(views(chest_segments(film.regions, PIXEL_MM), film.image.array[:1], PIXEL_MM, native=True))


def found_by(models: Sequence[Model], film: Radiograph) -> list[list[Detection]]:
    """What each model finds in a radiograph, merged."""
    return [fused(found)[:KEPT] for found in told([model.ready("cpu") for model in models], seen(film))]


def keep(name: str, found: dict[str, list[Detection]]) -> None:
    path = WORK / "found" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({film: [asdict(one) for one in here] for film, here in found.items()}), encoding="utf-8")


def kept(name: str) -> dict[str, list[Detection]] | None:
    path = WORK / "found" / f"{name}.json"
    if not path.exists():
        return None
    return {film: [Detection(**one) for one in here] for film, here in json.loads(path.read_text(encoding="utf-8")).items()}


def unseen(films: Sequence[Radiograph]) -> dict[str, dict[str, list[Detection]]]:
    """What each member, and their mean, finds in every radiograph before it is trained on any of JSRT."""
    found = {words: _found(f"first-{member}", films, (member,)) for member, words in MEMBERS.items()}
    return {**found, MEAN: _found("first-mean", films, tuple(MEMBERS))}


def _found(name: str, films: Sequence[Radiograph], members: Sequence[str]) -> dict[str, list[Detection]]:
    if kept(name) is None:
        models = [first(member) for member in members]
        model = together(models) if len(models) > 1 else models[0]
        keep(name, {film.name: found_by([model], film)[0] for film in films})
    return kept(name) or {}


def crossed(films: Sequence[Radiograph], seed: int = 0) -> dict[str, dict[str, list[Detection]]]:
    """For each arm what it finds in every radiograph when trained without its fold; what is kept on disk is not done again."""
    found: dict[str, dict[str, list[Detection]]] = {arm: {} for arm in ARMS}
    for number, fold in enumerate(folds(films)):
        for arm, here in crossed_fold(films, number, fold, seed).items():
            found[arm] |= here
    return found


def crossed_fold(films: Sequence[Radiograph], number: int, fold: Sequence[int], seed: int) -> dict[str, dict[str, list[Detection]]]:
    """For each arm what it finds in one fold's radiographs."""
    names = {arm: f"{arm}-{seed}-{number}" for arm in ARMS}
    missing = [arm for arm in ARMS if kept(names[arm]) is None]
    if missing:
        others = [n for n in range(len(films)) if n not in fold]
        examples = examples_of(films, others)
        models = [train(films, others, arm, seed, examples) for arm in missing]
        answers = [found_by(models, films[n]) for n in fold]
        for place, arm in enumerate(missing):
            keep(names[arm], {films[n].name: one[place] for n, one in zip(fold, answers, strict=True)})
    return {arm: kept(name) or {} for arm, name in names.items()}
