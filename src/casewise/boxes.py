"""What segments are cut with: overlapping spans of an axis, boxes that meet, and what lies around a voxel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.errors import CasewiseError
from casewise.image import Box


def spans(lower: int, upper: int, parts: int, overlap: float, least: int, longest: int) -> list[tuple[int, int]]:
    """Equally long half-open spans that cover ``lower`` to ``upper`` and no more, at least ``parts`` where there is room.

    Neighbours share at least ``overlap`` of a span's length and at least ``least`` voxels (one at least); no span is longer
    than ``longest``. Raises CasewiseError where such an overlap leaves a span no room to move on.
    """
    extent = upper - lower
    count = max(1, min(parts, extent - 1))  # each of n spans with an overlap needs a voxel more than the one before it
    while count < max(2, extent):
        length = _length(extent, count, overlap, least)
        if length <= longest and (longest >= extent or length > max(least, 1)):
            starts = [lower + (k * (extent - length)) // max(1, count - 1) for k in range(count)]
            return [(start, start + length) for start in starts]
        count += 1
    msg = (
        f"{extent} voxels cannot be cut into spans of at most {longest} that share {max(least, 1)} voxels and "
        f"{overlap:.0%} of their length; allow longer segments or a smaller overlap."
    )
    raise CasewiseError(msg)


def _length(extent: int, count: int, overlap: float, least: int) -> int:
    """Of ``count`` equal spans over ``extent``; in a region too short for the overlap each begins one voxel after the other."""
    if count == 1:
        return extent
    most = extent - (count - 1)
    length = math.ceil(max(extent / (count - (count - 1) * overlap), (extent + (count - 1) * least) / count))
    while length < most and length - math.ceil((extent - length) / (count - 1)) < max(1, least, overlap * length):
        length += 1
    return min(length, most)


def intersect(one: Box, other: Box) -> bool:
    """Whether two boxes share a voxel."""
    return all(max(a, c) < min(b, d) for a, b, c, d in zip(one.lower, one.upper, other.lower, other.upper, strict=True))


def grown(mask: npt.NDArray[np.bool_], margin: int) -> npt.NDArray[np.bool_]:
    """The mask and all voxels within ``margin`` of it along the axes taken together (a square neighbourhood); a copy."""
    return around(mask.view(np.uint8), margin, np.bitwise_or).view(np.bool_)


def around(values: npt.NDArray[Any], margin: int, joined: np.ufunc) -> npt.NDArray[Any]:
    """In each place what ``joined`` (``np.minimum``, ``np.maximum``, ``np.bitwise_or``) makes of all values within ``margin`` of it
    along the axes taken together; a copy. Nothing lies beyond the edges.
    """
    values = values.copy()
    for axis in range(values.ndim if values.size else 0):
        line, width = np.pad(values, [(margin, margin) if a == axis else (0, 0) for a in range(values.ndim)], mode="edge"), 1
        while width <= 2 * margin:  # how many are joined doubles with every step
            step = min(width, 2 * margin + 1 - width)
            before, after = (
                tuple(part if a == axis else np.s_[:] for a in range(line.ndim)) for part in (np.s_[:-step], np.s_[step:])
            )
            line, width = joined(line[before], line[after]), width + step
        values = line
    return values
