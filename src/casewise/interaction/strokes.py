"""Strokes as a person gives them, checked, and kept as voxels' places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from casewise.errors import UsageError
from casewise.image import Array, Box, Image
from casewise.interaction.crossing import Crossed, uncrossed

Points = npt.NDArray[np.int64]
Given = Array | Sequence[Sequence[int]] | None


@dataclass(frozen=True, eq=False)
class Strokes:
    """What one round marked: foreground and background, each (n, axes) places in the order of the image's spatial axes, sorted.

    No place is in both. crossed : how many were, as they were given.
    """

    foreground: Points
    background: Points
    crossed: Crossed = field(default_factory=Crossed)

    @classmethod
    def given(cls, image: Image, foreground: Given, background: Given) -> Strokes:
        """Each as an array (*spatial) whose voxels other than 0 are marked, or as places (n, axes); None marks nothing.

        What both mark is settled by :func:`casewise.interaction.crossing.uncrossed`. Raises UsageError for other shapes, for places
        outside the image, and where more than half of one kind is marked as the other too.
        """
        fore, back = points(image, foreground, "foreground"), points(image, background, "background")
        shape = image.spatial_shape
        on, off, crossed = uncrossed(_flat(fore, shape), _flat(back, shape), shape)
        return cls(_places(on, shape), _places(off, shape), crossed) if crossed else cls(fore, back)

    def __bool__(self) -> bool:
        return bool(len(self.foreground) or len(self.background))

    @property
    def of_both_kinds(self) -> bool:
        return bool(len(self.foreground) and len(self.background))

    @classmethod
    def nothing(cls, dims: int) -> Strokes:
        return cls(np.zeros((0, dims), np.int64), np.zeros((0, dims), np.int64))

    def followed_by(self, newer: Strokes, shape: tuple[int, ...]) -> Strokes:
        """Both as one round on an image of ``shape`` (*spatial): where they meet, the ``newer`` counts."""
        kept = self.without(np.concatenate([newer.foreground, newer.background]), shape)
        return Strokes(
            np.unique(np.concatenate([kept.foreground, newer.foreground]), axis=0),
            np.unique(np.concatenate([kept.background, newer.background]), axis=0),
            self.crossed + newer.crossed,
        )

    def without(self, points: Points, shape: tuple[int, ...]) -> Strokes:
        """Those that do not lie at ``points`` (n, axes) of an image of ``shape`` (*spatial); itself where none does."""
        erased = _flat(points, shape)
        on, off = (part[~np.isin(_flat(part, shape), erased)] for part in (self.foreground, self.background))
        return self if len(on) == len(self.foreground) and len(off) == len(self.background) else Strokes(on, off, self.crossed)


def points(image: Image, given: Given, kind: str) -> Points:
    """(n, axes) sorted places of a mask (*spatial) or a table; raises UsageError, which names their ``kind``."""
    dims, shape = image.spatial_dims, image.spatial_shape
    if given is None:
        return np.zeros((0, dims), np.int64)
    array = np.asarray(given)
    if array.shape == shape:
        return np.argwhere(array != 0).astype(np.int64)
    if array.size == 0:
        return np.zeros((0, dims), np.int64)
    if array.ndim != 2 or array.shape[1] != dims or not np.issubdtype(array.dtype, np.integer):
        msg = (
            f"The {kind} is a mask of the image's shape {shape} or a table of whole-number places (n, {dims}); got an "
            f"array of shape {array.shape} and type {array.dtype}."
        )
        raise UsageError(msg)
    if (array < 0).any() or (array >= np.array(shape)).any():
        msg = f"Some of the {kind}'s places lie outside the image, whose shape is {shape}; places count from 0."
        raise UsageError(msg)
    return np.unique(array.astype(np.int64), axis=0)


def _flat(points: Points, shape: tuple[int, ...]) -> Points:
    return np.ravel_multi_index(tuple(points.T), shape) if len(points) else np.zeros(0, np.int64)


def _places(flat: Points, shape: tuple[int, ...]) -> Points:
    return np.stack(np.unravel_index(flat, shape), axis=1).astype(np.int64)


def checked_box(image: Image, box: Box | Sequence[Sequence[int]]) -> Box:
    """The box, cut to the image. Raises UsageError where it has other axes, no voxel, or none within the image."""
    pairs = box.to_json() if isinstance(box, Box) else [list(pair) for pair in box]
    dims, shape = image.spatial_dims, image.spatial_shape
    if len(pairs) != dims or any(len(pair) != 2 for pair in pairs):
        msg = f"A box of this image is {dims} pairs lower, upper (one an axis, of {shape} voxels); got {pairs}."
        raise UsageError(msg)
    lower = tuple(max(0, int(low)) for low, _ in pairs)
    upper = tuple(min(n, int(high)) for (_, high), n in zip(pairs, shape, strict=True))
    if any(low >= high for low, high in zip(lower, upper, strict=True)):
        msg = f"The box {pairs} holds no voxel of the image, whose shape is {shape}; each pair is lower < upper, counted from 0."
        raise UsageError(msg)
    return Box(lower, upper)


def holding(box: Box, points: Points, shape: tuple[int, ...], margin: int = 2) -> Box:
    """The box, grown where ``points`` (n, axes) lie outside it so that it holds them, with ``margin`` voxels around them."""
    low, high = np.array(box.lower), np.array(box.upper)
    if not len(points):
        return box
    beyond = points[((points < low) | (points >= high)).any(axis=1)]
    if not len(beyond):
        return box
    outside_low, outside_high = beyond.min(axis=0), beyond.max(axis=0) + 1
    lower = np.where(outside_low < low, outside_low - margin, low)
    upper = np.where(outside_high > high, outside_high + margin, high)
    return Box(tuple(int(n) for n in np.maximum(lower, 0)), tuple(int(n) for n in np.minimum(upper, shape)))
