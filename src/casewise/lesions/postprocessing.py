"""From a map of lesions to a mask, its pieces and their probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from casewise.image import Box, Image
from casewise.label_map import LabelMap
from casewise.models.tasks.lesions import Calibration, Rule

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
MOST = 50
_HALF, _BELOW = 0.5, 0.49


class Outlined(NamedTuple):
    """mask : (*spatial). lesions : its connected pieces, the largest first, at most 50. any : the probability that there is any."""

    mask: Mask
    lesions: tuple[Lesion, ...]
    any: float


@dataclass(frozen=True)
class Lesion:
    """One connected piece of the mask. probability : that it is a lesion, half or more; the map's mean where nothing was
    calibrated. box : voxels. centre_mm : RAS. volume_ml : 0 of a
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

    map : (*spatial) float32, 0 to 1, by all sequences together. maps : the same by each sequence alone. label_map : ``lesions``,
    what of the map counts as such.
    classes : class → probability, given that there is a lesion, the likeliest first; empty from a regression network, and where no
    sequence that the class depends on was there. score : 0 to 1, from a regression network alone. any : the probability of a
    lesion. lesions : the largest first.
    """

    sequences: tuple[str, ...]
    missing: tuple[str, ...]
    map: Floats
    label_map: LabelMap
    maps: Mapping[str, Floats]
    any: float
    classes: Mapping[str, float]
    score: float | None
    lesions: tuple[Lesion, ...]

    @property
    def mask(self) -> Mask:
        """(*spatial) bool, on the image's grid."""
        return self.label_map.union()


def outlined(
    values: Floats,
    image: Image,
    rule: Rule | None = None,
    network_map: Floats | None = None,
    calibration: Calibration | None = None,
) -> Outlined:
    """What of a map (*spatial), on the grid of ``image``, is lesion, and how probable it is that anything is.

    values : (*spatial) 0…1, the map. network_map : what ``mean`` is taken of, where it is not the map itself. calibration : of a
    volume's pieces; those that are less probable than half are not outlined. The probability of any lesion is that of the most
    probable one; without one it is below half.
    """
    rule, network_map = rule or Rule(), values if network_map is None else network_map
    mask = values >= rule.threshold
    numbered, count = ndimage.label(mask, ndimage.generate_binary_structure(mask.ndim, mask.ndim))
    if count == 0:
        return Outlined(mask, (), _any((), np.zeros(0), values, calibration))
    volume = image.spatial_dims == 3
    image.check_volume("the detection of lesions")
    voxel_ml = abs(float(np.linalg.det(image.affine[:3, :3]))) / 1000 if volume else 0.0
    sizes = np.bincount(numbered.ravel(), minlength=count + 1)
    peaked = np.zeros(count + 1, bool)
    peaked[np.unique(numbered[mask & (values >= rule.peak)])] = True
    means = np.bincount(numbered[mask], network_map[mask], minlength=count + 1) / np.maximum(sizes, 1)
    kept = peaked & (means >= rule.mean)
    kept[0] = False
    if volume:
        kept &= sizes * voxel_ml >= rule.least_ml
    if calibration is not None and volume:
        probabilities = calibration.probabilities(means, sizes * voxel_ml)
        probabilities[0] = 0.0
        # A piece that the rule leaves out is no lesion, however large.
        probabilities[~kept] = np.minimum(probabilities[~kept], _BELOW) / 2
        kept &= probabilities >= _HALF
    else:
        probabilities = np.bincount(numbered[mask], values[mask], minlength=count + 1) / np.maximum(sizes, 1)
    boxes = ndimage.find_objects(numbered)
    order = [int(number) for number in np.argsort(-sizes, kind="stable") if kept[number]][:MOST]
    lesions = tuple(_lesion(number, numbered, boxes[number - 1], float(probabilities[number]), image, voxel_ml) for number in order)
    return Outlined(kept[numbered], lesions, _any(lesions, probabilities[~kept], values, calibration))


def _any(lesions: Sequence[Lesion], left_out: npt.NDArray[np.float64], values: Floats, calibration: Calibration | None) -> float:
    if lesions:
        return max(lesion.probability for lesion in lesions)
    if calibration is None:
        return min(_BELOW, _HALF * float(np.max(values, initial=0.0)))
    return min(_BELOW, float(np.max(left_out, initial=0.0)))


def _lesion(
    number: int, numbered: npt.NDArray[np.int32], window: tuple[slice, ...], probability: float, image: Image, voxel_ml: float
) -> Lesion:
    own = numbered[window] == number
    middle = np.argwhere(own).mean(axis=0) + [edge.start for edge in window]
    place = image.affine @ [*middle, *([0.0] * (3 - len(middle))), 1.0]
    return Lesion(
        probability,
        Box(tuple(edge.start for edge in window), tuple(edge.stop for edge in window)),
        (float(place[0]), float(place[1]), float(place[2])),
        float(own.sum() * voxel_ml),
        int(own.sum()),
    )
