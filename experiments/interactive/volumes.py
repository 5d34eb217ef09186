"""What the interactive model for volumes learns from: true masks, and objects that label any volume without a person."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import (
    binary_dilation,
    distance_transform_edt,
    find_objects,
    gaussian_filter,
    gaussian_gradient_magnitude,
    label,
    zoom,
)
from skimage.feature import peak_local_max
from skimage.filters import threshold_multiotsu
from skimage.segmentation import watershed

from casewise.case import Case
from casewise.intensity import percentile_range, rescaled
from experiments.cases import series_without_masks
from experiments.interactive.pictures import LIVER, organs, sclerosis
from experiments.interactive.synthetic_shapes_3d import body, nestled, painted_faintly, scene, visible

Task = tuple[np.ndarray, np.ndarray]
EDGE = 144  # voxels of a volume's longest side that are kept
CROP = 72  # voxels of the part that bands and painted objects lie in
_LEAST = 60  # voxels of an object
_SCALES = (300, 2000)  # supervoxels of a volume
_TISSUES = 4  # kinds of tissue that a volume's solids are of
_APART = 5  # voxels between the middles of two solids
_SOLID = 150  # voxels of one, at least


@dataclass(frozen=True, eq=False)
class Block:
    """A volume with what is known of it, its voxels even.

    picture : (row, column, plane) float32, 0…1. objects : true masks. parts : maps of supervoxels, from 1. solids : map of compact
    pieces of one tissue each, from 1; where two of a tissue meet, shape alone parts them.
    """

    picture: np.ndarray
    objects: tuple[np.ndarray, ...]
    parts: tuple[np.ndarray, ...]
    solids: np.ndarray


def block(case: Case, left_out: Sequence[str] = (), apart: np.ndarray | None = None) -> Block:
    """The volume brought to even voxels, reduced to ``EDGE``, with its supervoxels at two scales.

    left_out : masks that are no objects. apart : (*spatial) bool, where no solid may lie.
    """
    image = case.image
    array = image.array[0].astype(np.float32)
    low, high = percentile_range(array, (1, 99.5))
    if array.min() < -500:  # CT: soft tissue
        low, high = -160.0, 240.0
    scaled = rescaled(array, low, high)
    lengths = np.array(image.spacing) * array.shape
    even = min(EDGE / max(lengths), 1 / min(image.spacing))
    factors = np.array(image.spacing) * even
    picture = np.clip(zoom(gaussian_filter(scaled, 0.4 * np.maximum(1 / factors - 1, 0)), factors, order=1), 0, 1)
    masks = [_brought(load(), factors) for name, load in case.load_masks.items() if name not in left_out]
    rng = np.random.default_rng(0)
    slope = gaussian_gradient_magnitude(picture, 1.0)
    parts = []
    for count in _SCALES:
        seeds = np.zeros(picture.shape, np.int32)
        places = tuple(rng.integers(0, n, count) for n in picture.shape)
        seeds[places] = np.arange(1, count + 1)
        parts.append(watershed(slope, seeds).astype(np.int16))
    solids = _solids(picture, None if apart is None else _brought(apart, factors))
    return Block(picture.astype(np.float32), tuple(mask for mask in masks if mask.sum() >= _LEAST), tuple(parts), solids)


def _brought(mask: np.ndarray, factors: np.ndarray) -> np.ndarray:
    return zoom(mask.astype(np.float32), factors, order=1) > 0.5


def _solids(picture: np.ndarray, apart: np.ndarray | None) -> np.ndarray:
    smooth = gaussian_filter(picture, 0.8)
    filled = smooth > 0.04
    tissue = np.digitize(smooth, threshold_multiotsu(smooth[filled], _TISSUES)) if filled.any() else np.zeros(picture.shape, int)
    found, count = np.zeros(picture.shape, np.int32), 0
    for kind in range(_TISSUES):
        inside = filled & (tissue == kind)
        depth = gaussian_filter(distance_transform_edt(inside), 0.8)
        peaks = peak_local_max(depth, min_distance=_APART, threshold_abs=1.5, exclude_border=False)
        seeds = np.zeros(picture.shape, np.int32)
        seeds[tuple(peaks.T)] = np.arange(count + 1, count + 1 + len(peaks))
        found += watershed(-depth, seeds, mask=inside)
        count += len(peaks)
    sizes = np.bincount(found.ravel(), minlength=count + 1)
    refused = (sizes < _SOLID) | (sizes > 0.03 * found.size)
    if apart is not None:
        refused[np.unique(found[apart])] = True
    refused[0] = True
    numbers = np.where(refused, 0, np.cumsum(~refused))
    solids: np.ndarray = numbers[found].astype(np.int16)
    return solids


class VolumeTasks:
    """Draws (volume, object). ``shares`` : of true masks, supervoxels, bands of intensity, painted shapes, solids as they are,
    bodies in scenes or faintly painted, true masks, solids or supervoxels in scenes, and bodies among others of their grey.
    """

    def __init__(self, blocks: Iterable[Block], shares: Sequence[float] = (0.12, 0.08, 0.02, 0.06, 0.2, 0.16, 0.16, 0.2)) -> None:
        self.blocks = list(blocks)
        self.labelled = [one for one in self.blocks if one.objects]
        self.solid = [one for one in self.blocks if one.solids.any()]
        self.shares = np.asarray(shares) / np.sum(shares)
        self._makers: tuple[Callable[[np.random.Generator], Task], ...] = (
            self._true,
            self._grown,
            self._banded,
            self._shaped,
            self._solid,
            self._bodily,
            self._scenic,
            self._nestled,
        )

    def __call__(self, rng: np.random.Generator) -> Task:
        """(picture, object) of some size; the object has at least 60 voxels and leaves at least some of the volume."""
        while True:
            picture, mask = self._makers[int(rng.choice(len(self._makers), p=self.shares))](rng)
            if _LEAST <= mask.sum() <= 0.6 * mask.size:
                return picture, mask

    def _any_labelled(self, rng: np.random.Generator) -> Block:
        chances = np.array([min(len(one.objects), 8) for one in self.labelled], float)
        return self.labelled[int(rng.choice(len(self.labelled), p=chances / chances.sum()))]

    def _true(self, rng: np.random.Generator) -> Task:
        one = self._any_labelled(rng)
        return one.picture, one.objects[int(rng.integers(len(one.objects)))]

    def _grown(self, rng: np.random.Generator) -> Task:
        one = _any(self.blocks, rng)
        return one.picture, _union(one.parts[int(rng.integers(len(one.parts)))], rng)

    def _banded(self, rng: np.random.Generator) -> Task:
        picture = _cropped(_any(self.blocks, rng), rng)[0]
        return picture, _band(picture, rng)

    def _shaped(self, rng: np.random.Generator) -> Task:
        return _painted(_cropped(_any(self.blocks, rng), rng)[0], rng)

    def _solid(self, rng: np.random.Generator) -> Task:
        one = _any(self.solid, rng)
        return one.picture, _union(one.solids, rng, (1, 1, 1, 2, 3))

    def _bodily(self, rng: np.random.Generator) -> Task:
        picture, parts = _cropped(_any(self.blocks, rng), rng)
        mask, inner = body(picture.shape, rng)
        if not mask.any():
            return picture, mask
        if inner.any() and rng.random() < 0.3:
            mask, inner = inner, mask
        made = scene(picture, parts, mask, rng, inner) if rng.random() < 0.6 else painted_faintly(picture, mask, rng, inner)
        return made, mask

    def _scenic(self, rng: np.random.Generator) -> Task:
        """A real object's shape, and real shapes around it, in greys that no scanner gave them."""
        one = self._any_labelled(rng) if rng.random() < 0.45 else _any(self.solid, rng)
        kind = rng.random()
        if one.objects and kind < 0.7:
            mask = one.objects[int(rng.integers(len(one.objects)))]
        else:
            mask = _union(one.solids if kind < 0.9 and one.solids.any() else one.parts[-1], rng, (1, 1, 2, 3))
        if not mask.any():
            return one.picture, mask
        window = _window(mask)
        parts = _labels(one, window)
        picture, mask = one.picture[window], mask[window]
        made = scene(picture, parts, mask, rng)
        return (made if visible(made, mask) else painted_faintly(picture, mask, rng)), mask

    def _nestled(self, rng: np.random.Generator) -> Task:
        picture = _cropped(_any(self.blocks, rng), rng)[0]
        for _ in range(3):
            made, mask = nestled(picture, rng)
            if mask.any() and visible(made, mask):
                break
        return made, mask


def _any(blocks: Sequence[Block], rng: np.random.Generator) -> Block:
    return blocks[int(rng.integers(len(blocks)))]


def _window(mask: np.ndarray) -> tuple[slice, ...]:
    """An object's box with as much again around it."""
    found = find_objects(mask.astype(np.uint8))[0]
    margins = [max(6, (side.stop - side.start) // 2) for side in found]
    return tuple(slice(max(0, side.start - m), side.stop + m) for side, m in zip(found, margins, strict=True))


def _labels(one: Block, window: tuple[slice, ...]) -> np.ndarray:
    """Solids, and true masks over them, among large supervoxels, numbered from 0 without gaps."""
    parts, solids = one.parts[0][window].astype(np.int32), one.solids[window].astype(np.int32)
    parts = np.where(solids > 0, solids + int(parts.max()), parts)
    for number, mask in enumerate(one.objects, start=int(parts.max()) + 1):
        parts[mask[window]] = number
    _, numbers = np.unique(parts, return_inverse=True)
    return numbers.reshape(parts.shape)


def _cropped(one: Block, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(picture, labels) of a part of the volume, which is repeated mirrored where it is too thin for an object."""
    starts = [int(rng.integers(0, max(1, n - CROP + 1))) for n in one.picture.shape]
    window = tuple(slice(start, start + CROP) for start in starts)
    pads = [(0, max(0, 40 - min(n, CROP))) for n in one.picture.shape]
    return np.pad(one.picture[window], pads, mode="symmetric"), np.pad(_labels(one, window), pads, mode="symmetric")


def _union(parts: np.ndarray, rng: np.random.Generator, counts: Sequence[int] = (1, 2, 3, 4, 6)) -> np.ndarray:
    """A region and some that touch it; its borders as smooth as a person draws them."""
    windows = find_objects(parts)
    mask = np.zeros(parts.shape, bool)
    number = int(rng.integers(1, len(windows) + 1))
    for _ in range(int(rng.choice(counts))):
        window = windows[number - 1]
        if window is None:
            return mask
        mask[window] |= parts[window] == number
        wider = tuple(slice(max(0, side.start - 2), side.stop + 2) for side in window)
        near = np.setdiff1d(parts[wider][binary_dilation(mask[wider]) & ~mask[wider]], (0,))
        if not len(near):
            break
        number = int(rng.choice(near))
    if mask.any():
        around = _window(mask)
        mask[around] = gaussian_filter(mask[around].astype(np.float32), 0.8) > 0.5
    return mask


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


GRID = (64, 64, 64)


LEFT_OUT = ("class 1", "class 7", "class 19")  # spleen, pancreas, duodenum: for choosing between trainings


# Millimetres beside the middle, anterior and superior within which the standard brain's hippocampi lie, with room to spare.
_HIPPOCAMPI = ((8, 44), (-46, 0), (-32, 6))


def volumes() -> Iterator[Case]:
    """A CT with its organs, a FLAIR with its lesions, and MR without masks."""
    yield from organs()
    yield from sclerosis()
    yield from (case for case in series_without_masks() if min(case.image.spatial_shape) >= 16)


def blocks(cases: Sequence[Case]) -> list[Block]:
    """The volumes with what can be an object in them."""
    return [block(case, (*LEFT_OUT, LIVER), _apart(case)) for case in cases]


def _apart(case: Case) -> np.ndarray | None:
    """Where no tissue may be an object: the liver, the hippocampi of a brain in the standard space, all of images with a tumour."""
    shape, name = case.image.spatial_shape, str(case.name)
    if LIVER in case.load_masks:
        return case.load_masks[LIVER]()
    if name.startswith("pyradiomics"):
        return np.ones(shape, bool)
    if not name.startswith("open-ms"):
        return None
    places = np.stack(np.indices(shape), -1) @ case.image.affine[:3, :3].T + case.image.affine[:3, 3]
    places[..., 0] = np.abs(places[..., 0])
    near: np.ndarray = np.all(
        [(low < places[..., n]) & (places[..., n] < high) for n, (low, high) in enumerate(_HIPPOCAMPI)], axis=0
    )
    return near
