"""What is told of an examination's lesions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from casewise.errors import ModelError
from casewise.image import Box, Image
from casewise.probability import logistic

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
MOST = 50
SUREST = 0.004  # a network's chance is taken as no nearer to 0 and 1: what it never saw makes it too sure
_HALF, _BELOW = 0.5, 0.49


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
                f"got threshold {self.threshold}, peak {self.peak}, mean {self.mean}, least_ml {self.least_ml}."
            )
            raise ModelError(msg)

    @classmethod
    def of(cls, network: Mapping[str, object]) -> Rule:
        """The rule in a model's settings of its network; the usual one where there is none. Raises ModelError for another thing."""
        given = network.get("rule", {})
        usual = asdict(cls())
        if not isinstance(given, Mapping) or set(given) - set(usual) or not all(isinstance(n, int | float) for n in given.values()):
            raise ModelError(f"A lesion model's rule has the numbers {', '.join(usual)}; got {given!r}.")
        return cls(**{**usual, **{str(name): float(value) for name, value in given.items()}})


@dataclass(frozen=True)
class Calibration:
    """The probability that a connected piece is a lesion: σ(intercept + mean · logit of the network's mean chance over it +
    volume · ln of its ml). Neither weight is negative, so that a larger or surer piece is never the less probable.

    A network of few patients is too sure of everything; this is fitted on pieces in patients that it never saw
    (:mod:`casewise.lesions.calibration`). A model's own are in the settings of its network, as ``calibration``: ``bright`` where
    the sequence is there whose brightness counts, ``plain`` where it is not.
    """

    intercept: float
    mean: float
    volume: float

    def __post_init__(self) -> None:
        if self.mean < 0 or self.volume < 0:
            raise ModelError(f"A lesion model's calibration has weights of 0 or more; got mean {self.mean}, volume {self.volume}.")

    @classmethod
    def of(cls, network: Mapping[str, object], bright: bool) -> Calibration | None:
        """As a model's settings have it; None where they have none. Raises ModelError for another thing."""
        table = network.get("calibration")
        if table is None:
            return None
        given = table.get("bright" if bright else "plain") if isinstance(table, Mapping) else table
        names = set(cls.__dataclass_fields__)
        if not isinstance(given, Mapping) or set(given) != names or not all(isinstance(n, int | float) for n in given.values()):
            msg = f"A lesion model's calibration has, for bright and for plain, the numbers {', '.join(names)}; got {given!r}."
            raise ModelError(msg)
        return cls(**{str(name): float(value) for name, value in given.items()})

    def probabilities(self, means: npt.NDArray[np.floating], volumes: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """(n,) of pieces. means : the network's mean chance over each. volumes : ml."""
        kept = np.clip(means, SUREST, 1 - SUREST)
        score = self.intercept + self.mean * np.log(kept / (1 - kept)) + self.volume * np.log(np.maximum(volumes, 1e-6))
        return np.asarray(logistic(score))

    def settings(self) -> dict[str, float]:
        """As a model's settings hold it."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


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
    chances: Floats,
    image: Image,
    rule: Rule | None = None,
    seen: Floats | None = None,
    calibration: Calibration | None = None,
) -> Outlined:
    """What of a map (*spatial), on the grid of ``image``, is lesion, and how probable it is that anything is.

    seen : what ``mean`` is taken of, where it is not the map itself. calibration : of a volume's pieces; those that are less
    probable than half are not outlined. The probability of any lesion is that of the most probable one; without one it is below
    half.
    """
    rule, seen = rule or Rule(), chances if seen is None else seen
    mask = chances >= rule.threshold
    numbered, count = ndimage.label(mask, ndimage.generate_binary_structure(mask.ndim, mask.ndim))
    if count == 0:
        return Outlined(mask, (), _any((), np.zeros(0), chances, calibration))
    volume = image.spatial_dims == 3
    image.check_volume("the detection of lesions")
    voxel_ml = abs(float(np.linalg.det(image.affine[:3, :3]))) / 1000 if volume else 0.0
    sizes = np.bincount(numbered.ravel(), minlength=count + 1)
    peaked = np.zeros(count + 1, bool)
    peaked[np.unique(numbered[mask & (chances >= rule.peak)])] = True
    means = np.bincount(numbered[mask], seen[mask], minlength=count + 1) / np.maximum(sizes, 1)
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
        probabilities = np.bincount(numbered[mask], chances[mask], minlength=count + 1) / np.maximum(sizes, 1)
    boxes = ndimage.find_objects(numbered)
    order = [int(number) for number in np.argsort(-sizes, kind="stable") if kept[number]][:MOST]
    lesions = tuple(_lesion(number, numbered, boxes[number - 1], float(probabilities[number]), image, voxel_ml) for number in order)
    return Outlined(kept[numbered], lesions, _any(lesions, probabilities[~kept], chances, calibration))


def _any(lesions: Sequence[Lesion], left_out: npt.NDArray[np.float64], chances: Floats, calibration: Calibration | None) -> float:
    if lesions:
        return max(lesion.probability for lesion in lesions)
    if calibration is None:
        return min(_BELOW, _HALF * float(np.max(chances, initial=0.0)))
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
