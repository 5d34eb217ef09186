"""Geodesic distance: how far a voxel is from the nearest seed along the path on which the intensity changes least.

A raster scan in the manner of FastGeodis (Asad et al., JOSS 7(79), 2022; Criminisi et al., ECCV 2008): planes are swept to and fro
along each axis, and each plane learns from the one before. Written here because FastGeodis and GeodisTK are compiled at
installation against the user's torch; whole planes at once, in NumPy, are fast enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from types import EllipsisType

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

Floats = npt.NDArray[np.float32]
Index = tuple[slice | int | EllipsisType, ...]
FAR = np.float32(1e6)
SPATIAL = 0.005  # what one voxel's step costs on even ground; the image's whole range costs 1


def geodesic(
    images: Floats,
    seeds: npt.NDArray[np.bool_],
    spacing: Sequence[float] | None = None,
    *,
    spatial: float = SPATIAL,
    sweeps: int = 2,
) -> Floats:
    """(N, *spatial) float32: each voxel's distance to the nearest seed; :data:`FAR` in an image without any.

    images : (N, C, *spatial), intensities in 0…1. seeds : (N, *spatial) bool. spacing : voxel sizes an axis, whose ratio alone
    counts; they weigh ``spatial``. A step's cost is the root mean square over the channels of the change in intensity, plus
    ``spatial`` times its length in the smallest of the voxel's sizes. sweeps : how often all axes are swept to and fro.
    """
    lengths = [float(length) / min(spacing) for length in spacing] if spacing is not None else [1.0] * (seeds.ndim - 1)
    distance = np.where(seeds, np.float32(0), FAR).astype(np.float32)
    used = seeds.reshape(len(seeds), -1).any(axis=1)
    if used.any():
        part = np.ascontiguousarray(distance[used])
        _swept(part, np.ascontiguousarray(images[used], np.float32), lengths, spatial, sweeps)
        distance[used] = part
    return distance


def _swept(distance: Floats, images: Floats, lengths: list[float], spatial: float, sweeps: int) -> None:
    """``distance`` (N, *spatial) lowered in place."""
    dims = distance.ndim - 1
    costs = []
    for axis in range(dims):
        # Planes first and together in memory: a sweep touches one at a time.
        planes = np.ascontiguousarray(np.moveaxis(images, axis + 2, 0))
        others = [length for other, length in enumerate(lengths) if other != axis]
        costs.append(_costs(planes, lengths[axis], others, spatial))
    for _ in range(sweeps):
        for axis in range(dims):
            along = np.moveaxis(distance, axis + 1, 0)
            along[...] = _to_and_fro(along, costs[axis])


def _to_and_fro(planes: Floats, costs: Floats) -> Floats:
    """Distances (P, N, *part), each plane lowered from the one before it, and then from the one behind."""
    part = planes.shape[2:]
    padded = np.full((*planes.shape[:2], *(n + 2 for n in part)), FAR, np.float32)  # nothing is reached from beyond the rim
    found = padded[_within(part)]
    found[...] = planes
    sources = _shifted(padded, part)
    reached = np.empty((3 ** len(part), *planes.shape[1:]), np.float32)
    by_shift = reached.reshape(sources.shape[1:])
    for offset, steps in ((-1, _forward(costs, part)), (1, _backward(costs, part))):
        places = range(1, len(planes)) if offset < 0 else range(len(planes) - 2, -1, -1)
        for place in places:
            np.add(sources[place + offset], steps[place + min(offset, 0)], out=by_shift)
            np.minimum(found[place], np.minimum.reduce(reached, axis=0), out=found[place])
    return found


def _costs(planes: Floats, across: float, others: Sequence[float], spatial: float) -> Floats:
    """(P − 1, 3, …, N, *part + 2) of images (P, N, C, *part): the cost from a voxel of plane p that lies shifted within it by −1,
    0 or 1 along each axis to the one of plane p + 1, with a rim around; 0 where there is no such voxel.
    """
    count, batch, _, *part = planes.shape
    found = np.zeros((count - 1, *[3] * len(part), batch, *(n + 2 for n in part)), np.float32)
    inner = found[_within(part)]
    for shift in product((-1, 0, 1), repeat=len(part)):
        length = float(np.sqrt(across**2 + sum((s * other) ** 2 for s, other in zip(shift, others, strict=True))))
        here = tuple(slice(max(0, -s), n - max(0, s)) for n, s in zip(part, shift, strict=True))
        there = tuple(slice(max(0, s), n - max(0, -s)) for n, s in zip(part, shift, strict=True))
        change = planes[1:][_last(here)] - planes[:-1][_last(there)]
        size = np.abs(change[:, :, 0]) if change.shape[2] == 1 else np.sqrt(np.mean(change**2, axis=2))
        of_shift: Index = (slice(None), *(s + 1 for s in shift), slice(None), *here)
        inner[of_shift] = size + np.float32(length * spatial)
    return found


def _within(part: Sequence[int]) -> Index:
    """Without the rim."""
    return _last([slice(1, -1)] * len(part))


def _last(slices: Sequence[slice]) -> Index:
    return (..., *slices)


def _shifted(padded: Floats, part: Sequence[int]) -> Floats:
    """(P, 3, …, N, *part) of ``padded`` (P, N, *part + 2), a view: at each place what lies −1, 0 or 1 from it along each axis."""
    along = padded.strides[2:]
    shape = (len(padded), *[3] * len(part), padded.shape[1], *part)
    return as_strided(padded, shape, (padded.strides[0], *along, padded.strides[1], *along), writeable=False)


def _forward(costs: Floats, part: Sequence[int]) -> Floats:
    """What a step from each place of :func:`_shifted` costs, to the next plane."""
    return costs[_within(part)]


def _backward(costs: Floats, part: Sequence[int]) -> Floats:
    """The same to the plane before, a view: the same steps with their ends exchanged, so that shift s at place x is −s at x + s."""
    opposite: Index = (slice(None), *[slice(2, None)] * len(part))
    last = costs[opposite]
    shifts, along = costs.strides[1 : 1 + len(part)], costs.strides[2 + len(part) :]
    between = [step - shift for shift, step in zip(shifts, along, strict=True)]
    shape = (len(costs), *[3] * len(part), costs.shape[1 + len(part)], *part)
    return as_strided(last, shape, (costs.strides[0], *between, costs.strides[1 + len(part)], *along), writeable=False)
