"""From the client's three voxel axes to the image's: the same order and count, so that a voxel marked is that voxel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.errors import UsageError
from casewise.header import Header
from casewise.image import Array, Box, Image

Points = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
_CHANNELS = (1, 3)


@dataclass(frozen=True)
class Space:
    """shape : of the client's three axes. axes : those that the image has; a volume of one plane is a picture of the other two."""

    shape: tuple[int, int, int]
    axes: tuple[int, ...]

    @classmethod
    def of(cls, shape: Sequence[int]) -> Space:
        single = [axis for axis, count in enumerate(shape) if count == 1]
        left_out = single[:1] if len(single) == 1 else []
        first, second, third = (int(count) for count in shape)
        return cls((first, second, third), tuple(axis for axis in range(3) if axis not in left_out))

    def checked(self, pairs: object) -> list[tuple[int, int]]:
        """Half-open pairs of the three axes, cut to the image. Raises UsageError for others, and where they hold no voxel."""
        try:
            numbers = np.rint(np.asarray(pairs, np.float64))
            if numbers.shape != (3, 2) or not np.isfinite(numbers).all():
                raise ValueError
        except (TypeError, ValueError) as error:
            raise UsageError(f"A box is three pairs [lower, upper] of voxels; got {str(pairs)[:200]}.") from error
        lower = np.maximum(numbers.min(axis=1), 0)
        upper = np.minimum(numbers.max(axis=1), self.shape)
        if (lower >= upper).any():
            msg = f"The box {numbers.astype(int).tolist()} holds no voxel of the image, whose shape is {list(self.shape)}."
            raise UsageError(msg)
        return [(int(low), int(high)) for low, high in zip(lower, upper, strict=True)]

    def box(self, pairs: Sequence[tuple[int, int]]) -> Box:
        return Box(tuple(pairs[axis][0] for axis in self.axes), tuple(pairs[axis][1] for axis in self.axes))

    def point(self, coordinates: object) -> Points:
        """(1, axes): the voxel of three coordinates. Raises UsageError where it is not in the image."""
        try:
            place = np.rint(np.asarray(coordinates, np.float64))
            inside = place.shape == (3,) and bool(((place >= 0) & (place < self.shape)).all())
        except (TypeError, ValueError):
            inside = False
        if not inside:
            got = str(coordinates)[:200]
            msg = f"A point is three coordinates of a voxel of the image, whose shape is {list(self.shape)}; got {got}."
            raise UsageError(msg)
        return np.asarray(place[None, list(self.axes)], np.int64)

    def places(self, mask: Array, pairs: object) -> Points:
        """(n, axes): the voxels that a mask within a box (of the whole image without one) marks. Raises UsageError."""
        lower, upper = [0, 0, 0], list(self.shape)
        if pairs is not None:
            checked = self.checked(pairs)
            lower, upper = [low for low, _ in checked], [high for _, high in checked]
        size = [high - low for low, high in zip(lower, upper, strict=True)]
        if list(mask.shape) != size:
            raise UsageError(f"The mask has the shape {list(mask.shape)}, its box {size}; they must be the same.")
        found = np.argwhere(mask != 0).astype(np.int64) + np.array(lower)
        if not len(found):
            raise UsageError("Nothing is marked: the mask has no voxel other than 0.")
        return np.asarray(found[:, list(self.axes)])

    def image(self, array: Array, properties: Mapping[str, Any]) -> Image:
        """The image of a client's array (channel, *three axes), with the size of its voxels where the client says it.

        Raises UsageError, one sentence, for an array that is no image, and for a spacing that cannot be.
        """
        if array.shape[0] not in _CHANNELS:
            raise UsageError(f"An image has 1 channel, or 3 of a colour picture; got {array.shape[0]}.")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            wrong = int((~np.isfinite(array)).sum())
            raise UsageError(f"{wrong} voxels of the image are no numbers (NaN or infinite); set them to the background first.")
        spacing = _spacing(properties.get("spacing"))
        affine = np.eye(4)
        for place, axis in enumerate(self.axes):
            affine[place, place] = 1.0 if spacing is None else spacing[axis]
        kept = array.reshape(array.shape[0], *(self.shape[axis] for axis in self.axes))
        wide = kept.astype(np.float32) if kept.dtype == np.float16 else kept.astype(np.uint8) if kept.dtype == bool else kept
        return Image(wide, affine, Header(spacing_known=spacing is not None, orientation_known=False))

    def spread(self, part: Mask) -> Mask:
        """(three axes) of an array (*the image's axes)."""
        left_out = tuple(axis for axis in range(3) if axis not in self.axes)
        return np.expand_dims(part, left_out)

    def pairs(self, box: Box) -> list[list[int]]:
        """The three pairs of a box of the image."""
        pairs = [[0, 1] for _ in range(3)]
        for axis, low, high in zip(self.axes, box.lower, box.upper, strict=True):
            pairs[axis] = [int(low), int(high)]
        return pairs


def _spacing(given: object) -> tuple[float, float, float] | None:
    """In mm, of the client's three axes in their order (a viewer may count an axis backwards: its sign says nothing of length)."""
    if given is None:
        return None
    try:
        sizes = np.abs(np.asarray(given, np.float64))
    except (TypeError, ValueError):
        sizes = np.zeros(0)
    if sizes.shape == (2,):  # of a picture
        sizes = np.array([1.0, *sizes])
    if sizes.shape != (3,) or not np.isfinite(sizes).all() or not (sizes > 0).all():
        raise UsageError(f"The spacing is three lengths in mm, one an axis of the image; got {str(given)[:200]}.")
    return float(sizes[0]), float(sizes[1]), float(sizes[2])
