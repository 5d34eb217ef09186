"""The clavicles of a frontal chest radiograph, each outlined in the surroundings of its lung's upper half.

As the SCR set has them (van Ginneken 2006): the part that is seen over the lungs and the ribs. One network outlines both, the left
one mirrored, so that it cannot take one for the other.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from casewise.chest.region_masks import largest_piece
from casewise.image import Box, Image

if TYPE_CHECKING:
    from casewise.models.model import Model

Mask = npt.NDArray[np.bool_]
# Of the lung's box, from its outer upper corner: its clavicle in all films at hand lies within, with a tenth to spare.
_ABOVE, _BELOW, _OUTWARD, _INWARD = 0.12, 0.42, 0.02, 1.2
LEAST = 0.6  # mean probability of what is outlined


def surroundings(lung: Mask, *, mirrored: bool) -> Box:
    """Where a lung's clavicle is looked for: pixels of the upright picture, partly outside it perhaps.

    lung : (row, column), not empty. mirrored : whether its outer edge is the picture's right one.
    """
    rows, columns = np.flatnonzero(lung.any(axis=1)), np.flatnonzero(lung.any(axis=0))
    top, height = int(rows[0]), int(rows[-1] - rows[0] + 1)
    first, width = int(columns[0]), int(columns[-1] - columns[0] + 1)
    outward, inward = round(_OUTWARD * width), ceil(_INWARD * width)
    start, stop = (first + width - inward, first + width + outward) if mirrored else (first - outward, first + inward)
    return Box((top - round(_ABOVE * height), start), (top + ceil(_BELOW * height), stop))


def cut(array: npt.NDArray[np.generic], box: Box, *, mirrored: bool) -> npt.NDArray[np.generic]:
    """(…, row, column) within ``box``, its own edge's values where that reaches beyond it; left for right where ``mirrored``."""
    rows, columns = (
        np.clip(np.arange(low, high), 0, size - 1) for low, high, size in zip(box.lower, box.upper, array.shape[-2:], strict=True)
    )
    part = array[..., rows[:, None], columns[None]]
    return np.ascontiguousarray(part[..., ::-1] if mirrored else part)


def clavicle(model: Model, upright: Image, lung: Mask, device: str, *, mirrored: bool) -> tuple[Mask, float] | None:
    """The clavicle (row, column) before ``lung`` and its mean probability; None where none can be outlined.

    upright : the picture, upright and with bright bones. lung : on its grid. mirrored : whether it is the one on its right.
    """
    box = surroundings(lung, mirrored=mirrored)
    part = cut(upright.array, box, mirrored=mirrored)
    chances = model.predict(Image(part), device).probabilities
    if chances is None or not (seen := chances[1] > 0.5).any():
        return None
    piece = ndimage.binary_fill_holes(largest_piece(seen, chances[1]))
    certainty = float(chances[1][piece].mean())
    if certainty < LEAST:
        return None
    found = np.zeros(lung.shape, bool)
    rows, columns = (slice(max(low, 0), min(high, size)) for low, high, size in zip(box.lower, box.upper, lung.shape, strict=True))
    own = piece[:, ::-1] if mirrored else piece
    found[rows, columns] = own[
        rows.start - box.lower[0] : rows.stop - box.lower[0], columns.start - box.lower[1] : columns.stop - box.lower[1]
    ]
    return (found, certainty) if found.any() else None
