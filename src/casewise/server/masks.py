"""Masks on their way to the page: the packed bits of a box."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from casewise.errors import UsageError
from casewise.image import Box
from casewise.server.schemas.common import MaskPatch

Mask = npt.NDArray[np.bool_]
Points = npt.NDArray[np.int64]
_LEVEL = 1  # of zlib: bits of masks are small, and a round waits for them


@dataclass(frozen=True, eq=False)
class Part:
    """A mask, or a piece of one. box : where. bits : (*box) bool."""

    box: Box
    bits: Mask

    @classmethod
    def of(cls, mask: Mask) -> Part | None:
        """The smallest box with all of ``mask`` (*spatial); None of an empty one."""
        return cls.inside(Box.whole(mask.shape), mask)

    @classmethod
    def inside(cls, box: Box, bits: Mask) -> Part | None:
        """The same of a mask that has no voxel outside ``box``, by its ``bits`` (*box)."""
        found = Box.around(bits)
        if found is None:
            return None
        lower = tuple(low + start for low, start in zip(found.lower, box.lower, strict=True))
        upper = tuple(high + start for high, start in zip(found.upper, box.lower, strict=True))
        return cls(Box(lower, upper), bits[found.slices].copy())

    def whole(self, shape: Sequence[int]) -> Mask:
        """(*spatial) bool, False outside the box."""
        mask = np.zeros(tuple(shape), bool)
        mask[self.box.slices] = self.bits
        return mask

    def patch(self) -> MaskPatch:
        packed = zlib.compress(np.packbits(self.bits).tobytes(), _LEVEL)
        return MaskPatch(box=[(low, high) for low, high in self.box.to_json()], data=base64.b64encode(packed).decode())


def unpacked(patch: MaskPatch) -> Part:
    """The inverse of :meth:`Part.patch`."""
    box = Box(tuple(low for low, _ in patch.box), tuple(high for _, high in patch.box))
    packed = np.frombuffer(zlib.decompress(base64.b64decode(patch.data)), np.uint8)
    return Part(box, np.unpackbits(packed, count=int(np.prod(box.shape))).reshape(box.shape).astype(bool))


def places(runs: Sequence[tuple[int, int]], shape: Sequence[int]) -> Points:
    """(n, axes): the voxels of runs [first, count] over an image of ``shape`` (*spatial), counted row-major.

    Raises UsageError for a run without a voxel or beyond the image.
    """
    if not runs:
        return np.zeros((0, len(shape)), np.int64)
    total = int(np.prod(shape))
    if any(count < 1 or first < 0 or first + count > total for first, count in runs):
        wrong = next([first, count] for first, count in runs if count < 1 or first < 0 or first + count > total)
        msg = f"The run {wrong} is not inside the image of {total} voxels; a run is [first voxel, count], counted from 0."
        raise UsageError(msg)
    if sum(count for _, count in runs) > total:
        msg = f"The runs mark more voxels than the image has ({total}); mark each voxel once."
        raise UsageError(msg)
    table = np.asarray(runs, np.int64)
    ends = np.cumsum(table[:, 1])
    flat = np.arange(ends[-1]) + np.repeat(table[:, 0] - np.concatenate([[0], ends[:-1]]), table[:, 1])
    return np.stack(np.unravel_index(flat, tuple(shape)), axis=1).astype(np.int64)


def runs(points: Points, shape: Sequence[int]) -> list[tuple[int, int]]:
    """The inverse of :func:`places`."""
    if not len(points):
        return []
    flat = np.unique(np.ravel_multi_index(tuple(np.asarray(points).T), tuple(shape)))
    breaks = np.flatnonzero(np.diff(flat) != 1)
    starts, ends = np.concatenate([[0], breaks + 1]), np.concatenate([breaks, [len(flat) - 1]])
    return [(int(flat[start]), int(end - start + 1)) for start, end in zip(starts, ends, strict=True)]
