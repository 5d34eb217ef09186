"""The check of what a shipped model is for, made anew from its own and foreign images; :mod:`recipes.intended` says how."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from casewise.applications.intended import NETWORK, Intended
from casewise.models.shipped import FOLDER, load
from casewise.routing.out_of_distribution import unit
from experiments.intended.distances import KINDS, Kind, distances, left_out
from experiments.intended.images import Shown, foreign, own

OWN_REFUSED, FOREIGN_ACCEPTED = 0.02, 0.01


def threshold_of(own_distances: Sequence[float], foreign_distances: Sequence[float]) -> float:
    near, far = float(np.quantile(own_distances, 1 - OWN_REFUSED)), float(np.quantile(foreign_distances, FOREIGN_ACCEPTED))
    return float(np.sqrt(near * far)) if far > near else near


def intended(kind: Kind, among: Callable[[Shown], bool] = lambda image: True) -> Intended:
    """among : which of the foreign images the threshold is set on."""
    images = own(kind.name, kind.features)
    bank = unit(np.concatenate([image.features for image in images]))
    apart = [median for image in foreign(kind.name) if among(image) for median in distances(bank, image.features, False)]
    return Intended(bank, threshold_of([d for _, d in left_out(images, kind.every)], apart), kind.what, load(NETWORK).key)


def write(model: str, folder: Path = FOLDER) -> None:
    """Of a shipped model; nothing where it has no such check."""
    for kind in KINDS:
        if model in kind.models:
            intended(kind).save(folder / model)
