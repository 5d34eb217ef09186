"""What a shipped model is for: ``python -m recipes.intended`` writes ``intended.safetensors`` into the models' folders.

The bank holds features of the model's own training images. The threshold lies halfway (geometrically) between two distances: the
one that 2 % of the own images exceed, each measured without its group (its site where the model has several, else its patient),
and the one that 1 % of foreign images stay below; where the second is the smaller, the first is taken. A recipe that remakes a
model remakes its bank too. ``python -m benchmarks.intended`` measures on groups and kinds that the threshold was not set on.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from casewise.applications.intended import Intended, Matrix, features_of, shown
from casewise.image import Image
from casewise.models.shipped import FOLDER, load
from casewise.routing.out_of_distribution import Neighbours, unit
from casewise.routing.views import View
from recipes.intended_data import Shown, foreign, own

OWN_REFUSED, FOREIGN_ACCEPTED = 0.02, 0.01
SLAB = 5  # slices: the thinnest piece of a volume that is asked for


@dataclass(frozen=True)
class Kind:
    """name : of the models' own images in :mod:`recipes.intended_data`. what : as the sentence of a refusal calls them.

    models : the shipped models that are for them. every : whether pieces of a volume are asked for too, so that every slice counts.
    turned : whether pictures of them lie in any of the eight poses.
    """

    name: str
    what: str
    models: tuple[str, ...]
    every: bool = False
    turned: bool = False

    def features(self, image: Image) -> Matrix:
        views = shown(image, self.every)
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


def threshold_of(own_distances: Sequence[float], foreign_distances: Sequence[float]) -> float:
    near, far = float(np.quantile(own_distances, 1 - OWN_REFUSED)), float(np.quantile(foreign_distances, FOREIGN_ACCEPTED))
    return float(np.sqrt(near * far)) if far > near else near


def intended(kind: Kind, among: Callable[[Shown], bool] = lambda image: True) -> Intended:
    """among : which of the foreign images the threshold is set on."""
    images = own(kind.name, kind.features)
    bank = unit(np.concatenate([image.features for image in images]))
    apart = [median for image in foreign(kind.name) if among(image) for median in distances(bank, image.features, False)]
    return Intended(bank, threshold_of([d for _, d in left_out(images, kind.every)], apart), kind.what, load("router").key)


def write(model: str, folder: Path = FOLDER) -> None:
    """Of a shipped model; nothing where it has no such check."""
    for kind in KINDS:
        if model in kind.models:
            intended(kind).save(folder / model)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=FOLDER)
    options = parser.parse_args()
    for kind in KINDS:
        made = intended(kind)
        for model in kind.models:
            made.save(options.output / model)


if __name__ == "__main__":
    main()
