"""Malignant or benign: JSRT's nodules, cut from the detector's segments, in the same three ways of training."""

from __future__ import annotations

import csv
from dataclasses import replace
from typing import Any

import numpy as np

from casewise import formats
from casewise.case import Case
from casewise.chest.nodules.films import SOUGHT
from casewise.chest.segments import chest_segments
from casewise.errors import CasewiseError
from casewise.header import Header
from casewise.image import Box
from casewise.lesions import Plan, predict, train_lesions
from casewise.lesions.nodules import PLACES, RADIOGRAPH, labelled_nodule, surroundings
from casewise.training import Settings
from casewise.training.metrics import dice
from experiments import datasets
from experiments.lesions.runs import WAYS
from experiments.nodules.films import films, regions_of
from experiments.nodules.radiographs import PIXEL_MM

FOLDS = 5
STEPS = (80, 50, 50)
SCORES = (("benign", 0.5), ("malignant", 1.0))


def nodules() -> list[Case]:
    with (datasets.path("jsrt/metadata.csv")).open(encoding="utf-8") as file:
        state = {row["study"]: row["state"] for row in csv.DictReader(file)}
    found = []
    for film in (one for one in films() if one.folder == "jsrt"):
        for truth in film.nodules:
            image = formats.read(film.path)
            regions = {name: mask for name, mask in regions_of(film, image).by_place.items() if name in SOUGHT}
            half = max(truth.diameter_mm / 2, 5) / PIXEL_MM
            middle, shape = (truth.row, truth.column), image.spatial_shape
            low, high = (tuple(int(np.clip(p + s * half, 0, n)) for p, n in zip(middle, shape, strict=True)) for s in (-1, 1))
            cut = chest_segments(regions, PIXEL_MM, (Box(low, high),))
            try:
                picture = surroundings(image.array[:1], cut, truth.row, truth.column, PIXEL_MM)
            except CasewiseError:
                continue
            found.append(labelled_nodule(picture, truth.diameter_mm, state[film.path.name], film.path.name, "jsrt"))
    return found


def rows(network: str, seed: int) -> list[dict[str, Any]]:
    """A row for each way of training and nodule, each nodule judged by a network that never saw its patient."""
    everything = nodules()
    order = sorted(range(len(everything)), key=lambda n: (str(everything[n].category), everything[n].subject))
    found: list[dict[str, Any]] = []
    for way in WAYS:
        for fold in range(FOLDS):
            aside = order[fold::FOLDS]
            others = [own for n, own in enumerate(everything) if n not in aside]
            settings = Settings(batch=8, rate=5e-3, seed=seed, device="cpu", mixed=True)
            plan = Plan(network, way, STEPS, PLACES, (16, 32, 64), SCORES, mirror=True, settings=settings)
            model = train_lesions(others, "nodules", plan)
            for n in aside:
                image, masks = everything[n].loaded((RADIOGRAPH,))
                truth = masks.union()
                answer = predict(model, replace(image, header=Header(sequences=(RADIOGRAPH,))), each=False)
                chance = answer.score if answer.score is not None else answer.classes["malignant"]
                found.append(
                    {"network": network, "way": way, "seed": seed, "patient": everything[n].subject}
                    | {
                        "malignant": everything[n].category == "malignant",
                        "chance": chance,
                        "dice": dice(answer.mask, np.asarray(truth)),
                    }
                )
    return found
