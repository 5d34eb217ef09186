"""What a network is asked to suppose beside its former answer, where strokes contradict that: that the object fills its box.

After the box a network takes the likeliest thing for the object, often a cavity instead of the wall around it, or a part instead of
the whole, and goes on from there. A stroke that contradicts it takes away what it touches and says nothing of what else it may be.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from casewise.interaction.prompt_maps import SLACK

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_PROBABLE = 0.9  # the probability that the network is given of what is supposed
_TOO_LARGE = SLACK[2] / 2  # pixels of the image by which each side of a picture's box is too large on average


def filling(box: Mask, answer: Mask, scale: npt.NDArray[np.float64]) -> Floats:
    """(*grid) the probability of an object that fills its box: the ellipse in it and ``answer``, with their holes.

    box, answer : (row, column[, 1]) bool. scale : (1, axes) the image's pixels to one place of the grid.
    """
    away = np.zeros(box.shape)
    for axis in range(2):
        places = np.flatnonzero(box.any(axis=tuple(other for other in range(box.ndim) if other != axis)))
        low, high = places[0], places[-1] + 1
        half = (high - low) / 2
        radius = max(half - _TOO_LARGE / float(scale[0, axis]), half / 2)
        along = (np.arange(box.shape[axis]) + 0.5 - (low + high) / 2) / radius
        away += (along**2).reshape([-1 if n == axis else 1 for n in range(box.ndim)])
    whole = box & ((away < 1) | answer)
    filled: Mask = ndimage.binary_fill_holes(whole.reshape(box.shape[:2])).reshape(box.shape)
    return (_PROBABLE * filled).astype(np.float32)
