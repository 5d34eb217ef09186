"""What is told of an examination's lesions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from casewise.errors import ModelError
from casewise.image import Box, Image

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
MOST = 50


@dataclass(frozen=True)
class Rule:
    """What of a map counts as a lesion: connected pieces of at least ``threshold`` that come up to ``peak`` somewhere, over which
    the network's own chance is ``mean`` or more, and whose volume is at least ``least_ml`` (a picture's have none). A model's own
    is in the settings of its network, as ``rule``.
    """

    threshold: float = 0.5
    peak: float = 0.5
    mean: float = 0.0
    least_ml: float = 0.02

    def __post_init__(self) -> None:
        if not (0 < self.threshold <= self.peak < 1 and 0 <= self.mean < 1 and self.least_ml >= 0):
            msg = (
                "A rule for lesions has 0 < threshold ≤ peak < 1, a mean from 0 to below 1 and least_ml of 0 or more; "
                f"given was threshold {self.threshold}, peak {self.peak}, mean {self.mean}, least_ml {self.least_ml}."
            )
            raise ModelError(msg)

    @classmethod
    def of(cls, network: Mapping[str, object]) -> Rule:
        """The rule in a model's settings of its network; the usual one where there is none. Raises ModelError for another thing."""
        given = network.get("rule", {})
        usual = asdict(cls())
        if not isinstance(given, Mapping) or set(given) - set(usual) or not all(isinstance(n, int | float) for n in given.values()):
            raise ModelError(f"A lesion model's rule has the numbers {', '.join(usual)}; given was {given!r}.")
        return cls(**{**usual, **{str(name): float(value) for name, value in given.items()}})


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

    map : (*spatial) float32, 0 to 1, by all sequences together. maps : the same by each sequence alone. mask : (*spatial) bool,
    what of the map counts as lesions.
    classes : class → probability, given that there is a lesion, the likeliest first; empty from a regression network, and where no
    sequence that tells the class was there. score : 0 to 1, from a regression network alone. any : the probability of a lesion.
    lesions : the largest first.
    """

    sequences: tuple[str, ...]
    missing: tuple[str, ...]
    map: Floats
    mask: Mask
    maps: Mapping[str, Floats]
    any: float
    classes: Mapping[str, float]
    score: float | None
    lesions: tuple[Lesion, ...]


def outlined(
    chances: Floats, image: Image, rule: Rule | None = None, seen: Floats | None = None
) -> tuple[Mask, tuple[Lesion, ...]]:
    """(the mask of a map (*spatial) on the grid of ``image``; its connected pieces, the largest first, at most 50).

    seen : what ``mean`` is taken of, where it is not the map itself.
    """
    rule, seen = rule or Rule(), chances if seen is None else seen
    mask = chances >= rule.threshold
    numbered, count = ndimage.label(mask, ndimage.generate_binary_structure(mask.ndim, mask.ndim))
    if count == 0:
        return mask, ()
    volume = image.spatial_dims == 3
    voxel_ml = abs(float(np.linalg.det(image.affine[:3, :3]))) / 1000 if volume else 0.0
    sizes = np.bincount(numbered.ravel(), minlength=count + 1)
    kept = np.zeros(count + 1, bool)
    kept[np.unique(numbered[mask & (chances >= rule.peak)])] = True
    kept &= np.bincount(numbered[mask], seen[mask], minlength=count + 1) >= rule.mean * sizes
    kept[0] = False
    if volume:
        kept &= sizes * voxel_ml >= rule.least_ml
    boxes = ndimage.find_objects(numbered)
    order = [int(number) for number in np.argsort(-sizes, kind="stable") if kept[number]][:MOST]
    return kept[numbered], tuple(_lesion(number, numbered, boxes[number - 1], chances, image, voxel_ml) for number in order)


def _lesion(
    number: int, numbered: npt.NDArray[np.int32], window: tuple[slice, ...], chances: Floats, image: Image, voxel_ml: float
) -> Lesion:
    own = numbered[window] == number
    middle = np.argwhere(own).mean(axis=0) + [edge.start for edge in window]
    place = image.affine @ [*middle, *([0.0] * (3 - len(middle))), 1.0]
    return Lesion(
        float(chances[window][own].mean()),
        Box(tuple(edge.start for edge in window), tuple(edge.stop for edge in window)),
        (float(place[0]), float(place[1]), float(place[2])),
        float(own.sum() * voxel_ml),
        int(own.sum()),
    )
