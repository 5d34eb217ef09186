"""How far an image lies from a model's own images, by the network that ``intended.safetensors`` is made with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from casewise.applications.intended import Matrix, features_of, informative_views
from casewise.image import Image
from casewise.routing.out_of_distribution import Neighbours, unit
from casewise.routing.views import View
from experiments.intended.images import Shown

SLAB = 5  # slices: the thinnest piece of a volume that is asked for


@dataclass(frozen=True)
class Kind:
    """name : of the models' own images in :mod:`experiments.intended.images`. what : as the sentence of a refusal calls them.

    models : the shipped models that are for them. every : whether pieces of a volume are asked for too, so that every slice counts.
    turned : whether pictures of them lie in any of the eight poses.
    """

    name: str
    what: str
    models: tuple[str, ...]
    every: bool = False
    turned: bool = False

    def features(self, image: Image) -> Matrix:
        views = informative_views(image, self.every)
        return features_of([pose for view in views for pose in (poses(view) if self.turned else [view])])


def poses(view: View) -> list[View]:
    """A view in its eight poses."""
    return [np.ascontiguousarray(np.rot90(side, turns)) for side in (view, view[:, ::-1]) for turns in range(4)]


KINDS = (
    Kind("chest", "frontal chest radiographs", ("tuberculosis",)),
    Kind("breast-ultrasound", "breast ultrasound pictures", ("breast_ultrasound_class",)),
    Kind("heart", "short-axis cine MR of the heart", ("heart_chambers",), turned=True),
    Kind("hippocampus", "T1 MR crops around a hippocampus", ("hippocampus",)),
    Kind("brain", "FLAIR or T1 of a brain without its skull", ("brain_lesions", "abnormality_brain"), every=True),
)


def distances(bank: Matrix, views: Matrix, every: bool) -> list[float]:
    """Of an image: the median over its views; of every ``SLAB`` neighbouring slices where pieces are asked for."""
    own = Neighbours(bank).distances(views)
    if not every or len(own) <= SLAB:
        return [float(np.median(own))]
    return [float(np.median(own[start : start + SLAB])) for start in range(len(own) - SLAB + 1)]


def left_out(images: Sequence[Shown], every: bool) -> list[tuple[Shown, float]]:
    """(image, distance) from the images of all other groups."""
    found = []
    for group in dict.fromkeys(image.group for image in images):
        bank = unit(np.concatenate([image.features for image in images if image.group != group]))
        found += [(image, d) for image in images if image.group == group for d in distances(bank, image.features, every)]
    return found
