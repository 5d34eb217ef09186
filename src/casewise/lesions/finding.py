"""What is told of an examination's lesions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from casewise.image import Box, Image

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
THRESHOLD = 0.5
LEAST_ML = 0.02  # smaller pieces are not told of one by one
MOST = 50


@dataclass(frozen=True)
class Lesion:
    """One connected piece of the mask. probability : the map's mean over it. box : voxels. centre_mm : RAS. volume_ml : 0 of a
    picture. voxels : how many; of a picture, pixels.
    """

    probability: float
    box: Box
    centre_mm: tuple[float, float, float]
    volume_ml: float
    voxels: int


@dataclass(frozen=True, eq=False)
class Lesions:
    """sequences : that were there; missing : that the model knows and were not.

    map : (*spatial) float32, 0 to 1, by all sequences together. maps : the same by each sequence alone.
    classes : class → probability, given that there is a lesion, the likeliest first; empty from a regression network, and where no
    sequence that tells the class was there. score : 0 to 1, from a regression network alone. any : the probability of a lesion.
    lesions : the largest first.
    """

    sequences: tuple[str, ...]
    missing: tuple[str, ...]
    map: Floats
    maps: Mapping[str, Floats]
    any: float
    classes: Mapping[str, float]
    score: float | None
    lesions: tuple[Lesion, ...]

    @property
    def mask(self) -> Mask:
        """(*spatial) bool: where the map is at least one half."""
        return self.map >= THRESHOLD


def pieces(chances: Floats, image: Image, least_ml: float = LEAST_ML, threshold: float = THRESHOLD) -> tuple[Lesion, ...]:
    """The connected pieces of a map (*spatial) on the grid of ``image``, the largest first, at most 50."""
    mask = chances >= threshold
    numbered, count = ndimage.label(mask, ndimage.generate_binary_structure(mask.ndim, mask.ndim))
    if count == 0:
        return ()
    volume = image.spatial_dims == 3
    voxel_ml = abs(float(np.linalg.det(image.affine[:3, :3]))) / 1000 if volume else 0.0
    sizes = np.bincount(numbered.ravel(), minlength=count + 1)
    boxes = ndimage.find_objects(numbered)
    found = []
    for number in np.argsort(-sizes[1:], kind="stable")[:MOST] + 1:
        if volume and sizes[number] * voxel_ml < least_ml:
            break
        window = boxes[number - 1]
        own = numbered[window] == number
        middle = np.argwhere(own).mean(axis=0) + [edge.start for edge in window]
        place = image.affine @ [*middle, *([0.0] * (3 - len(middle))), 1.0]
        found.append(
            Lesion(
                float(chances[window][own].mean()),
                Box(tuple(edge.start for edge in window), tuple(edge.stop for edge in window)),
                (float(place[0]), float(place[1]), float(place[2])),
                float(sizes[number] * voxel_ml),
                int(sizes[number]),
            )
        )
    return tuple(found)
