"""The crops by which the network judges a candidate: fine pixels around it, and the whole image, reduced, around the same place."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from casewise.detection.views import View

EDGE = 192  # fine pixels: 34 mm
REDUCTION = 4  # an image of 2048 pixels reduced to 512
Bytes = npt.NDArray[np.uint8]


def crop(view: View, row: float, column: float, context: npt.NDArray[np.float32], factor: float) -> Bytes:
    """(2, 192, 192) uint8: fine pixels around a place of the view, and the whole image reduced (``context``, ``factor`` pixels
    a pixel of its), 48 × 48 of them around the same place, each shown as 4 × 4. 128 stands for what lies outside.
    """
    fine = _around(view.pixels, row, column, EDGE)
    down, right = (o + p * s for o, p, s in zip(view.origin, (row, column), view.step, strict=True))
    wide = _around(context, down / factor, right / factor, EDGE // REDUCTION)
    return np.stack([fine, wide.repeat(REDUCTION, 0).repeat(REDUCTION, 1)])


def _around(values: npt.NDArray[np.float32], row: float, column: float, edge: int) -> Bytes:
    found = np.full((edge, edge), 128, np.uint8)
    top, left = round(row) - edge // 2, round(column) - edge // 2
    source = tuple(slice(max(0, start), max(0, min(n, start + edge))) for start, n in zip((top, left), values.shape, strict=True))
    piece = values[source]
    target = tuple(
        slice(part.start - start, part.start - start + length)
        for part, start, length in zip(source, (top, left), piece.shape, strict=True)
    )
    found[target] = np.rint(piece * 255)
    return found
