"""Geodesic distance: how far a voxel is from the nearest seed along the path on which the intensity changes least.

A raster scan in the manner of FastGeodis (Asad et al., JOSS 7(79), 2022; Criminisi et al., ECCV 2008): planes are swept to and fro
along each axis, and each plane learns from the one before. Written here because FastGeodis and GeodisTK are compiled at
installation against the user's torch; whole planes at once, in NumPy, are fast enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import product

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
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
    plans = []
    for axis in range(dims):
        others = [length for other, length in enumerate(lengths) if other != axis]
        shifts = list(product((-1, 0, 1), repeat=dims - 1))
        steps = [_length(lengths[axis], shift, others) * spatial for shift in shifts]
        # Planes first and together in memory: a sweep touches one at a time.
        planes = np.ascontiguousarray(np.moveaxis(images, axis + 2, 0))
        costs = [_costs(planes, shift, step) for shift, step in zip(shifts, steps, strict=True)]
        plans.append((axis, shifts, costs))
    for _ in range(sweeps):
        for axis, shifts, costs in plans:
            planes = np.ascontiguousarray(np.moveaxis(distance, axis + 1, 0))
            for place in range(1, len(planes)):
                _lower(planes[place], planes[place - 1], shifts, [cost[place - 1] for cost in costs], forward=True)
            for place in range(len(planes) - 2, -1, -1):
                _lower(planes[place], planes[place + 1], shifts, [cost[place] for cost in costs], forward=False)
            distance[...] = np.moveaxis(planes, 0, axis + 1)


def _length(across: float, shift: tuple[int, ...], others: list[float]) -> float:
    return float(np.sqrt(across**2 + sum((s * other) ** 2 for s, other in zip(shift, others, strict=True))))


def _costs(planes: Floats, shift: tuple[int, ...], step: float) -> Floats:
    """(planes − 1, N, *part): the cost from a voxel of plane p, ``shift`` away, to the one of plane p + 1."""
    here, there = _windows(planes.shape[3:], shift)
    change = planes[(slice(1, None), slice(None), slice(None), *here)] - planes[(slice(None, -1), slice(None), slice(None), *there)]
    if change.shape[2] == 1:
        return np.asarray(np.abs(change[:, :, 0]) + np.float32(step))
    return np.asarray(np.sqrt(np.mean(change**2, axis=2)) + np.float32(step))


def _lower(target: Floats, source: Floats, shifts: list[tuple[int, ...]], costs: list[Floats], *, forward: bool) -> None:
    for shift, cost in zip(shifts, costs, strict=True):
        here, there = _windows(target.shape[1:], shift)
        # Costs are of steps from the plane before to the one behind; the way back is the same step with its ends exchanged.
        reached, origin = (here, there) if forward else (there, here)
        view = target[(slice(None), *reached)]
        np.minimum(view, source[(slice(None), *origin)] + cost, out=view)


@lru_cache(maxsize=4096)
def _windows(shape: tuple[int, ...], shift: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where the voxels lie that have a neighbour ``shift`` away within the plane, and where those neighbours lie."""
    here = tuple(slice(max(0, -s), n - max(0, s)) for n, s in zip(shape, shift, strict=True))
    there = tuple(slice(max(0, s), n - max(0, -s)) for n, s in zip(shape, shift, strict=True))
    return here, there
