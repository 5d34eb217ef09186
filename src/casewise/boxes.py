"""What segments are cut with: overlapping spans of an axis, boxes that meet, and a mask's margin."""

from __future__ import annotations

import math

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
    mask = mask.copy()
    for axis in range(mask.ndim):
        line, reached = np.moveaxis(mask, axis, 0), 0
        most = min(margin, len(line) - 1)
        while reached < most:
            step = min(reached + 1, most - reached)  # no more: the copies must meet at the edge too
            before = line.copy()
            line[step:] |= before[:-step]
            line[:-step] |= before[step:]
            reached += step
    return mask
