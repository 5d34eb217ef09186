"""What the interactive model for volumes learns from: true masks, and objects that label any volume without a person."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation, find_objects, gaussian_filter, gaussian_gradient_magnitude, label, zoom
from skimage.segmentation import watershed

from casewise.case import Case

EDGE = 112  # voxels of a volume's longest side that are kept
CROP = 72  # voxels of the part that bands and painted objects lie in
_LEAST = 60  # voxels of an object
_SCALES = (250, 1500)  # supervoxels of a volume


@dataclass(frozen=True, eq=False)
class Block:
    """A volume with what is known of it, its voxels even.

    picture : (row, column, plane) float32, 0…1. objects : true masks. parts : maps of supervoxels, from 1.
    """

    picture: np.ndarray
    objects: tuple[np.ndarray, ...]
    parts: tuple[np.ndarray, ...]


def block(case: Case) -> Block:
    """The volume brought to even voxels, reduced to ``EDGE``, with its supervoxels at two scales."""
    image = case.image
    array = image.array[0].astype(np.float32)
    low, high = np.percentile(array, (1, 99.5))
    if array.min() < -500:  # CT: soft tissue
        low, high = -160.0, 240.0
    scaled = np.clip((array - low) / max(float(high - low), 1e-6), 0, 1)
    lengths = np.array(image.spacing) * array.shape
    even = min(EDGE / max(lengths), 1 / min(image.spacing))
    factors = np.array(image.spacing) * even
    picture = np.clip(zoom(gaussian_filter(scaled, 0.4 * np.maximum(1 / factors - 1, 0)), factors, order=1), 0, 1)
    masks = [zoom(load().astype(np.float32), factors, order=1) > 0.5 for load in case.load_masks.values()]
    rng = np.random.default_rng(0)
    slope = gaussian_gradient_magnitude(picture, 1.0)
    parts = []
    for count in _SCALES:
        seeds = np.zeros(picture.shape, np.int32)
        places = tuple(rng.integers(0, n, count) for n in picture.shape)
        seeds[places] = np.arange(1, count + 1)
        parts.append(watershed(slope, seeds).astype(np.int32))
    return Block(picture.astype(np.float32), tuple(mask for mask in masks if mask.sum() >= _LEAST), tuple(parts))


class VolumeTasks:
    """Draws (volume, object). ``shares`` : of true masks, supervoxels, bands of intensity and painted shapes."""

    def __init__(self, blocks: Iterable[Block], shares: Sequence[float] = (0.3, 0.3, 0.1, 0.3)) -> None:
        self.blocks = list(blocks)
        self.labelled = [one for one in self.blocks if one.objects]
        self.shares = np.asarray(shares) / np.sum(shares)

    def __call__(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(picture, object) of some size; the object has at least 60 voxels and leaves at least some of the volume."""
        while True:
            kind = int(rng.choice(4, p=self.shares))
            group = self.labelled if kind == 0 else self.blocks
            one = group[int(rng.integers(len(group)))]
            picture, mask = self._task(kind, one, rng)
            if _LEAST <= mask.sum() <= 0.6 * mask.size:
                return picture, mask

    def _task(self, kind: int, one: Block, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        if kind == 0:
            return one.picture, one.objects[int(rng.integers(len(one.objects)))]
        if kind == 1:
            return one.picture, _union(one.parts[int(rng.integers(len(one.parts)))], rng)
        starts = [int(rng.integers(0, max(1, n - CROP + 1))) for n in one.picture.shape]
        picture = one.picture[tuple(slice(start, start + CROP) for start in starts)]
        return (picture, _band(picture, rng)) if kind == 2 else _painted(picture, rng)


def _union(parts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A supervoxel and some that touch it; its borders as smooth as a person draws them."""
    windows = find_objects(parts)
    mask = np.zeros(parts.shape, bool)
    number = int(rng.integers(1, len(windows) + 1))
    for _ in range(int(rng.choice((1, 2, 3, 4, 6)))):
        window = windows[number - 1]
        if window is None:
            return mask
        mask |= parts == number
        wider = tuple(slice(max(0, side.start - 2), side.stop + 2) for side in window)
        near = np.unique(parts[wider][binary_dilation(mask[wider]) & ~mask[wider]])
        if not len(near):
            break
        number = int(rng.choice(near))
    return gaussian_filter(mask.astype(np.float32), 0.8) > 0.5


def _band(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The largest piece, or several, of what lies between two intensities."""
    smooth = gaussian_filter(picture, rng.uniform(1.0, 2.5))
    low = rng.uniform(0.0, 0.8)
    inside = (smooth > np.quantile(smooth, low)) & (smooth <= np.quantile(smooth, min(1.0, low + rng.uniform(0.1, 0.3))))
    labels, count = label(inside)
    if not count:
        return inside
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    return np.isin(labels, np.argsort(-sizes)[: int(rng.choice((1, 1, 1, 3)))])


def _painted(picture: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A blob, a shell, a bent tube or several blobs, brought towards a grey of its own."""
    shape = picture.shape
    grid = np.indices(shape).astype(np.float32)
    wobble = zoom(rng.normal(0, 1, (6, 6, 6)), [n / 6 for n in shape], order=1).astype(np.float32)
    kind = int(rng.choice(4, p=(0.35, 0.2, 0.3, 0.15)))
    if kind == 2:
        mask = _tube(shape, rng)
    else:
        mask = np.zeros(shape, bool)
        for _ in range(int(rng.integers(2, 9)) if kind == 3 else 1):
            centre = rng.uniform(0.3, 0.7, 3) * shape
            radii = rng.uniform(0.06, 0.3, 3) * min(shape) * (0.35 if kind == 3 else 1)
            distance = np.sqrt(sum(((g - c) / r) ** 2 for g, c, r in zip(grid, centre, np.maximum(radii, 1.5), strict=True)))
            mask |= distance + rng.uniform(0.05, 0.25) * wobble < 1
        if kind == 1:
            mask &= ~(distance + 0.1 * wobble < rng.uniform(0.45, 0.75))
    if not mask.any():
        return picture, mask
    level, outside = float(rng.random()), float(picture[mask].mean())
    least = rng.uniform(0.08, 0.2)
    if abs(level - outside) < least:
        level = outside + (least if outside < 0.5 else -least)
    share = gaussian_filter(mask.astype(np.float32), rng.uniform(0.4, 1.2))
    through = rng.uniform(0.05, 0.6)
    mixed = (1 - share) * picture + share * (through * picture + (1 - through) * level)
    return np.clip(mixed, 0, 1).astype(np.float32), mask


def _tube(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """A bent tube that thins out, as vessels, guts and the hippocampus's neighbours do."""
    place, heading = rng.uniform(0.25, 0.75, 3) * shape, rng.normal(0, 1, 3)
    points, radius = [], float(rng.uniform(1.5, 6))
    for _ in range(int(rng.integers(15, 60))):
        heading = heading + rng.normal(0, 0.35, 3)
        place = place + heading / np.linalg.norm(heading)
        if ((place < 1) | (place > np.array(shape) - 2)).any():
            break
        points.append(place)
    found = np.zeros(shape, bool)
    for number, point in enumerate(points):
        reach = radius * (1 - 0.5 * number / len(points))
        low = np.maximum(np.floor(point - reach).astype(int), 0)
        high = np.minimum(np.ceil(point + reach).astype(int) + 1, shape)
        window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        grid = np.indices(high - low) + low.reshape(3, 1, 1, 1)
        found[window] |= np.sqrt(((grid - point.reshape(3, 1, 1, 1)) ** 2).sum(axis=0)) <= reach
    return found
