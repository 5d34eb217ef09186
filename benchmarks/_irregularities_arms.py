"""The three detectors that are compared, each trained on the same candidates for the same number of steps, and what each finds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from benchmarks._irregularities_data import WORK, Radiograph, bank
from casewise.case import Case
from casewise.detection.chest import chest_segments
from casewise.detection.detector import judged
from casewise.detection.fusion import Detection, fused
from casewise.detection.training import Examples, spec
from casewise.detection.views import PIXEL_MM
from casewise.models import Model
from casewise.training import Settings, fit

ARMS = ("reduced", "native", "both")
FOLDS = 5
STEPS, BATCH, RATE = 300, 48, 2e-3
KEPT = 60  # findings an image that are kept


def folds(films: Sequence[Radiograph]) -> list[list[int]]:
    """Numbers of each fold's radiographs (one a patient): those with nodules by subtlety, and those without, spread over all."""
    order = sorted(range(len(films)), key=lambda n: (films[n].nodules[0].subtlety if films[n].nodules else 0, films[n].name))
    return [sorted(order[start::FOLDS]) for start in range(FOLDS)]


def examples_of(films: Sequence[Radiograph], numbers: Sequence[int]) -> Examples:
    banks = [bank(films[n], n) for n in numbers]
    x = np.concatenate([found.x for found in banks]).astype(np.float32)
    return Examples(x, np.concatenate([found.kind for found in banks]), ",".join(films[n].name for n in numbers))


def train(
    films: Sequence[Radiograph], numbers: Sequence[int], arm: str, seed: int, examples: Examples, steps: int = STEPS
) -> Model:
    cases = [Case.of(films[n].image, name=films[n].name, site="jsrt") for n in numbers]
    start = Model.initial("casewise-irregularities", spec(arm), seed)
    settings = Settings(steps=steps, batch=BATCH, rate=RATE, augmentation="none", seed=seed, device="cpu")
    return fit(start, cases, settings=settings, method="initial", source=examples)


def found_by(models: Sequence[Model], film: Radiograph) -> list[list[Detection]]:
    """What each model finds in a radiograph, merged."""
    cut = chest_segments(film.regions, PIXEL_MM)
    told = judged([model.ready("cpu") for model in models], cut, film.image.array[:1])
    return [fused(found)[:KEPT] for found in told]


def keep(name: str, found: dict[str, list[Detection]]) -> None:
    path = WORK / "found" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({film: [asdict(one) for one in told] for film, told in found.items()}), encoding="utf-8")


def kept(name: str) -> dict[str, list[Detection]] | None:
    path = WORK / "found" / f"{name}.json"
    if not path.exists():
        return None
    return {film: [Detection(**one) for one in told] for film, told in json.loads(path.read_text(encoding="utf-8")).items()}


def crossed(films: Sequence[Radiograph], seed: int = 0) -> dict[str, dict[str, list[Detection]]]:
    """For each arm what it finds in every radiograph when trained without its fold; what is kept on disk is not done again."""
    found: dict[str, dict[str, list[Detection]]] = {arm: {} for arm in ARMS}
    for number, fold in enumerate(folds(films)):
        for arm, told in crossed_fold(films, number, fold, seed).items():
            found[arm] |= told
    return found


def crossed_fold(films: Sequence[Radiograph], number: int, fold: Sequence[int], seed: int) -> dict[str, dict[str, list[Detection]]]:
    """For each arm what it finds in one fold's radiographs."""
    names = {arm: f"{arm}-{seed}-{number}" for arm in ARMS}
    missing = [arm for arm in ARMS if kept(names[arm]) is None]
    if missing:
        others = [n for n in range(len(films)) if n not in fold]
        examples = examples_of(films, others)
        models = [train(films, others, arm, seed, examples) for arm in missing]
        told = [found_by(models, films[n]) for n in fold]
        for place, arm in enumerate(missing):
            keep(names[arm], {films[n].name: one[place] for n, one in zip(fold, told, strict=True)})
    return {arm: kept(name) or {} for arm, name in names.items()}
