"""A place's surroundings in polar coordinates: rings and sectors around it, so that to turn it is to shift it.

A small network learns more from few examples where a round thing's profile stands in one axis and its outline in the other.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.detection.views import View

EDGE = 192  # fine pixels: 34 mm
REDUCTION = 4  # an image of 2048 pixels reduced to 512
RINGS, SECTORS = 20, 24  # of 0.84 mm (of the whole image: 13 mm) and 15°
CHANNELS = ("native mean", "native deviation", "reduced mean", "reduced deviation", "whole image")
_STEP = 6.0  # local standard deviations from the lowest to the highest value of a view
Floats = npt.NDArray[np.float32]


def surroundings(view: View, row: float, column: float, context: Floats, factor: float) -> Floats:
    """(5, 20, 24): what stands around a place of a view, ring by ring, in local standard deviations, 0 where all is even.

    The channels: mean and deviation of the fine pixels in each ring and sector, 17 mm around; the same of means of 4 × 4 of them,
    which is an image of 2048 pixels reduced to 512; and the mean of the whole image reduced (``context``, ``factor`` image pixels a
    pixel), 24 of its pixels around.
    """
    small = EDGE // REDUCTION
    fine = _around(view.pixels, row, column, EDGE)
    coarse = fine.reshape(small, REDUCTION, small, REDUCTION).mean(axis=(1, 3))
    down, right = (o + p * s for o, p, s in zip(view.origin, (row, column), view.step, strict=True))
    wide = _around(context, down / factor, right / factor, small)
    found = [*_moments(fine, EDGE), *_moments(coarse, small), _cells(small) @ wide.ravel()]
    return np.stack(found).reshape(len(CHANNELS), RINGS, SECTORS).astype(np.float32)


def _moments(values: Floats, edge: int) -> tuple[Floats, Floats]:
    flat = values.ravel()
    mean, square = _cells(edge) @ flat, _cells(edge) @ flat**2
    return mean, np.sqrt(np.maximum(square - mean**2, 0))


def _around(values: Floats, row: float, column: float, edge: int) -> Floats:
    """(edge, edge) in local standard deviations, 0 outside of ``values``, which are 0 to 1."""
    found = np.zeros((edge, edge), np.float32)
    starts = [round(row) - edge // 2, round(column) - edge // 2]
    source = tuple(slice(max(0, start), max(0, min(n, start + edge))) for start, n in zip(starts, values.shape, strict=True))
    piece = values[source]
    target = tuple(
        slice(part.start - start, part.start - start + length)
        for part, start, length in zip(source, starts, piece.shape, strict=True)
    )
    found[target] = (piece - 0.5) * _STEP
    return found


@cache
def _cells(edge: int) -> Any:
    """Sparse (cells, pixels of an edge × edge square): each row the mean over a ring's sector."""
    from scipy.sparse import csr_array

    parts = EDGE // edge  # shares are counted on the finest grid
    offset = np.arange(EDGE) + 0.5 - EDGE / 2
    down, right = np.meshgrid(offset, offset, indexing="ij")
    ring = (np.hypot(down, right) / (EDGE / 2) * RINGS).astype(int).ravel()
    sector = ((np.arctan2(down, right) + np.pi) / (2 * np.pi) * SECTORS).astype(int).ravel() % SECTORS
    pixel = (np.arange(EDGE)[:, None] // parts * edge + np.arange(EDGE)[None] // parts).ravel()
    inside = ring < RINGS
    cell = (ring * SECTORS + sector)[inside]
    count = np.bincount(cell, minlength=RINGS * SECTORS)
    weights = (1 / count[cell]).astype(np.float32)
    return csr_array((weights, (cell, pixel[inside])), shape=(RINGS * SECTORS, edge * edge))
