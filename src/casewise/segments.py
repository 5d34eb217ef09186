"""Segments: overlapping boxes over body regions at the image's own resolution, for networks that look for small findings.

A radiograph reduced to a network's input loses what is small; cut into segments of its regions it keeps every pixel, and what lies
outside the region is discarded or replaced (WO 2020/094734: at least two segments a lung, never two lungs in one, neighbours that
overlap, resolution reduced by no more than 20 %). The same function cuts a region of a volume into blocks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
import numpy.typing as npt

from casewise.boxes import grown, intersect, spans
from casewise.errors import CasewiseError
from casewise.image import Array, Box

LEAST_SCALE = 0.8
OUTSIDE = ("mean", "noise", "zero", "keep")
_LEAST_EDGE = 16
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Segment:
    """A box over one region. box : half-open voxels of the image. scale : of its pixels against the image's, one number an axis,
    0.8 to 1. irregularities : numbers of the irregularities that it holds whole.
    """

    region: str
    box: Box
    scale: tuple[float, ...]
    irregularities: tuple[int, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Of its pixels, after scaling."""
        return tuple(max(1, math.ceil(n * s - 1e-9)) for n, s in zip(self.box.shape, self.scale, strict=True))

    def to_json(self) -> dict[str, object]:
        return {"region": self.region, "box": self.box.to_json(), "scale": min(self.scale)}


@dataclass(frozen=True, eq=False)
class Segments(Sequence[Segment]):
    """The segments of one image, region by region, each region's from its beginning to its end.

    regions : the masks they were cut from, (*spatial) bool. margin : voxels around a region that are shown with it.
    irregularities : boxes that belong to a region whatever its mask says (training alone).
    """

    all: tuple[Segment, ...]
    regions: Mapping[str, Mask]
    apart: tuple[str, ...]
    margin: int = 0
    irregularities: tuple[Box, ...] = ()

    def __len__(self) -> int:
        return len(self.all)

    def __getitem__(self, number):  # type: ignore[no-untyped-def]
        return self.all[number]

    def __iter__(self) -> Iterator[Segment]:
        return iter(self.all)

    def inside(self, segment: Segment) -> Mask:
        """(*box) bool at the image's resolution: what the segment shows of the image. It is the region with its margin and the
        irregularities that lie whole in the segment, less every pixel of a region that must stay apart from it.
        """
        own = self.regions[segment.region]
        wide = Box(
            tuple(max(0, lo - self.margin) for lo in segment.box.lower),
            tuple(min(n, hi + self.margin) for hi, n in zip(segment.box.upper, own.shape, strict=True)),
        )
        window = tuple(slice(lo - w, hi - w) for lo, hi, w in zip(segment.box.lower, segment.box.upper, wide.lower, strict=True))
        displayed = grown(own[wide.slices], self.margin)[window]
        for number in segment.irregularities:
            box = self.irregularities[number]
            displayed[tuple(slice(lo - s, hi - s) for lo, hi, s in zip(box.lower, box.upper, segment.box.lower, strict=True))] = (
                True
            )
        core = own[segment.box.slices]
        for name in self.apart:
            if name != segment.region:
                displayed &= core | ~self.regions[name][segment.box.slices]
        return displayed

    def pixels(self, array: Array, segment: Segment, *, outside: str = "mean", seed: int = 0) -> npt.NDArray[np.float32]:
        """(C, *segment.shape) float32 of an image's array (C, *spatial), with what the segment does not show replaced.

        outside : by the ``mean`` of what it shows, ``noise`` of the same mean and deviation, ``zero``, or not at all (``keep``).
        Raises CasewiseError for another choice and for an array on another grid.
        """
        if outside not in OUTSIDE:
            msg = f"What lies outside a region is one of {', '.join(OUTSIDE)}; got {outside!r}."
            raise CasewiseError(msg)
        grid = self.regions[segment.region].shape
        if array.shape[1:] != grid:
            msg = f"The segments were cut on a grid of {grid} and the array's is {array.shape[1:]}; give the image they came from."
            raise CasewiseError(msg)
        cut = array[(slice(None), *segment.box.slices)].astype(np.float32)
        if outside != "keep":
            hidden = ~self.inside(segment)
            for channel in cut:
                channel[hidden] = _replacement(channel[~hidden], int(hidden.sum()), outside, seed)
        return _scaled(cut, segment.shape)


def segments(
    regions: Mapping[str, Mask],
    shape: Sequence[int],
    *,
    parts: int = 2,
    single: Sequence[str] = ("heart",),
    overlap: float = 0.25,
    least_overlap: int = 0,
    longest: int | Sequence[int] | None = None,
    margin: int = 0,
    scale: float | Sequence[float] = 1.0,
    irregularities: Sequence[Box] = (),
) -> Segments:
    """Cut regions into overlapping segments at the image's resolution.

    regions : name → (*shape) bool; 2 or 3 axes. An empty mask gives no segment. shape : of the image's spatial axes.
    parts : least number of segments a region, along the longest axis of its box (a lung's runs from top to bottom).
    single : regions that one segment holds whole (the heart, a place where heart and lungs overlap). All others stay apart: no
        segment shows a pixel that belongs to another of them alone.
    overlap, least_overlap : neighbours share at least this part of a segment's length, and at least so many voxels.
    longest : most voxels of a segment an axis, one number or one an axis; more segments are made where a region is longer.
        ``single`` regions too are then cut.
    margin : voxels around a region that are shown with it. scale : of the segments' pixels against the image's.
    irregularities : for training. Each lies whole in at least one segment of the region that holds most of it, and at least partly
        in an overlap; where the regular cut does not give that, a further segment around it does.

    The union of a region's segments covers it. Raises CasewiseError for a scale below 0.8, a mask on another grid, an overlap that
    leaves no room, and where no region holds a voxel.
    """
    grid = tuple(int(n) for n in shape)
    factors = _checked_scale(scale, len(grid))
    masks = _checked_masks(regions, grid)
    limits = _limits(longest, grid)
    if not 0 < overlap <= 0.8 or least_overlap < 0 or margin < 0 or parts < 1:
        msg = (
            f"Segments overlap by more than 0 and at most 0.8 of their length, and counts are not negative; "
            f"given: overlap {overlap}, least_overlap {least_overlap}, margin {margin}, parts {parts}."
        )
        raise CasewiseError(msg)
    apart = tuple(name for name in masks if name not in single)
    owners = _owners(masks, irregularities)
    found: list[Segment] = []
    for name, mask in masks.items():
        around = Box.around(mask)
        if around is None:
            continue
        count = 1 if name in single else max(parts, 1)
        boxes = _cut(mask, _at_least(around, grid, margin), count, overlap, least_overlap, limits, margin)
        own = [number for number, owner in enumerate(owners) if owner == name]
        boxes += _around_irregularities(boxes, [irregularities[number] for number in own], grid)
        for box in boxes:
            held = tuple(number for number in own if _holds(box, irregularities[number]))
            found.append(Segment(name, box, factors, held))
    if not found:
        msg = "None of the regions holds a voxel, so there is nothing to cut; look at the region masks."
        raise CasewiseError(msg)
    return Segments(tuple(found), masks, apart, margin, tuple(irregularities))


def _cut(mask: Mask, whole: Box, parts: int, overlap: float, least: int, limits: tuple[int, ...], margin: int) -> list[Box]:
    """Boxes on a regular grid over ``whole``; along one axis alone they are drawn close around what they hold of the mask."""
    extent = whole.shape
    long_axis = int(np.argmax(extent))
    rows = [
        spans(whole.lower[axis], whole.upper[axis], parts if axis == long_axis else 1, overlap, least, limits[axis])
        for axis in range(mask.ndim)
    ]
    boxes = [Box(tuple(lo for lo, _ in corner), tuple(hi for _, hi in corner)) for corner in product(*rows)]
    if sum(len(row) > 1 for row in rows) > 1:  # blocks: those without a voxel of the region say nothing
        return [box for box in boxes if mask[box.slices].any()]
    axis = next((axis for axis, row in enumerate(rows) if len(row) > 1), long_axis)
    close = [_closed(mask, box, axis, margin) for box in boxes]
    return close if all(intersect(one, other) for one, other in pairwise(close)) else boxes


def _closed(mask: Mask, box: Box, axis: int, margin: int) -> Box:
    """``box`` drawn close around the mask and its margin on every axis but one."""
    inner = Box.around(mask[box.slices])
    if inner is None:
        return box
    bounds = []
    for place, (lower, upper) in enumerate(zip(box.lower, box.upper, strict=True)):
        low, high = lower + inner.lower[place] - margin, lower + inner.upper[place] + margin
        edge = min(_LEAST_EDGE, upper - lower)
        low = max(lower, min(low, upper - edge))
        bounds.append((lower, upper) if place == axis else (low, min(upper, max(high, low + edge))))
    return Box(tuple(lo for lo, _ in bounds), tuple(hi for _, hi in bounds))


def _around_irregularities(boxes: list[Box], irregularities: Sequence[Box], grid: tuple[int, ...]) -> list[Box]:
    """Further boxes, as large as the regular ones, around irregularities that no box holds whole or no overlap touches."""
    extra: list[Box] = []
    size = tuple(max(box.shape[axis] for box in boxes) for axis in range(len(grid)))
    for irregularity in irregularities:
        present = [*boxes, *extra]
        whole = any(_holds(box, irregularity) for box in present)
        touched = sum(intersect(box, irregularity) for box in present) > 1 and any(
            _share(one, other, irregularity) for n, one in enumerate(present) for other in present[n + 1 :]
        )
        if not (whole and touched):
            extra.append(_centred(irregularity, size, grid))
    return extra


def _centred(irregularity: Box, size: tuple[int, ...], grid: tuple[int, ...]) -> Box:
    lower, upper = [], []
    for lo, hi, length, n in zip(irregularity.lower, irregularity.upper, size, grid, strict=True):
        edge = min(n, max(length, hi - lo))
        start = min(max(0, (lo + hi - edge) // 2), n - edge)
        lower.append(start)
        upper.append(start + edge)
    return Box(tuple(lower), tuple(upper))


def _share(one: Box, other: Box, irregularity: Box) -> bool:
    """Whether two boxes share a voxel of an irregularity."""
    lower = np.max([one.lower, other.lower, irregularity.lower], axis=0)
    upper = np.min([one.upper, other.upper, irregularity.upper], axis=0)
    return bool((lower < upper).all())


def _holds(box: Box, inner: Box) -> bool:
    pairs = zip(box.lower, box.upper, inner.lower, inner.upper, strict=True)
    return all(lo <= low and high <= hi for lo, hi, low, high in pairs)


def _owners(masks: Mapping[str, Mask], irregularities: Sequence[Box]) -> list[str]:
    """For each irregularity the region that holds most of it; where none holds any, the nearest by its box."""
    boxes = {name: box for name, mask in masks.items() if (box := Box.around(mask)) is not None}
    owners = []
    for irregularity in irregularities:
        held = {name: int(masks[name][irregularity.slices].sum()) for name in boxes}
        owners.append(min(boxes, key=lambda name: (-held[name], _distance(boxes[name], irregularity))) if boxes else "")
    return owners


def _distance(one: Box, other: Box) -> float:
    pairs = zip(one.lower, one.upper, other.lower, other.upper, strict=True)
    return math.hypot(*(max(0, low - hi, lo - high) for lo, hi, low, high in pairs))


def _at_least(box: Box, grid: tuple[int, ...], margin: int) -> Box:
    """``box`` with its margin and edges long enough to be cut, within the image."""
    lower, upper = [], []
    for lo, hi, n in zip(box.lower, box.upper, grid, strict=True):
        edge = min(n, max(_LEAST_EDGE, hi - lo + 2 * margin))
        start = min(max(0, (lo + hi - edge) // 2), n - edge)
        lower.append(min(start, lo))
        upper.append(max(start + edge, hi))
    return Box(tuple(lower), tuple(upper))


def _checked_scale(scale: float | Sequence[float], axes: int) -> tuple[float, ...]:
    factors = tuple(float(s) for s in scale) if isinstance(scale, Sequence) else (float(scale),) * axes
    if len(factors) != axes or not all(LEAST_SCALE <= factor <= 1 for factor in factors):
        msg = (
            f"A segment keeps {LEAST_SCALE} to 1 of the image's resolution on each of {axes} axes; got {scale}: "
            "cut smaller segments instead (longest=…)."
        )
        raise CasewiseError(msg)
    return factors


def _checked_masks(regions: Mapping[str, Mask], grid: tuple[int, ...]) -> dict[str, Mask]:
    if len(grid) not in (2, 3) or not regions:
        msg = f"Segments are cut from one region or more of 2 or 3 axes; got {len(regions)} regions on a grid of {grid}."
        raise CasewiseError(msg)
    for name, mask in regions.items():
        if mask.shape != grid:
            msg = f"The region {name!r} has the grid {mask.shape} and the image {grid}; bring it onto the image's grid first."
            raise CasewiseError(msg)
    return {name: np.asarray(mask, dtype=bool) for name, mask in regions.items()}


def _limits(longest: int | Sequence[int] | None, grid: tuple[int, ...]) -> tuple[int, ...]:
    if longest is None:
        return grid
    limits = (longest,) * len(grid) if isinstance(longest, int) else tuple(longest)
    if len(limits) != len(grid) or min(limits) < 4:
        msg = f"The longest edge of a segment is a number of voxels from 4 on, or one for each of {len(grid)} axes; not {longest}."
        raise CasewiseError(msg)
    return limits


def _replacement(displayed: npt.NDArray[np.float32], count: int, outside: str, seed: int) -> npt.NDArray[np.float32] | float:
    if outside == "zero" or displayed.size == 0:
        return 0.0
    mean = float(displayed.mean(dtype=np.float64))
    if outside == "mean":
        return mean
    noise = np.random.default_rng(seed).standard_normal(count, dtype=np.float32)
    return np.float32(mean) + noise * np.float32(displayed.std(dtype=np.float64))


def _scaled(array: npt.NDArray[np.float32], shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Linear resampling axis by axis, at voxel centres; factors from 0.8 to 1 need no filter before it."""
    for axis, new in enumerate(shape, start=1):
        old = array.shape[axis]
        if new != old:
            place = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
            low = np.floor(place).astype(int)
            share = (place - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(array.ndim)])
            array = array.take(low, axis) * (1 - share) + array.take(np.minimum(low + 1, old - 1), axis) * share
    return array
