"""How one film would look if another machine had made it: what an answer must not depend on."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

Floats = npt.NDArray[np.float32]

_BANDS = (1.0, 4.0, 14.0)  # pixels of a view: deviations of the Gaussians between which the bands of sizes lie
_TAILS = (1, 99)  # percent of the lungs' values that become 0 and 1


@dataclass(frozen=True)
class Look:
    """gains : of what is fine, middling and coarse against what is coarser still. tone : the exponent of the grey values.

    blur : deviation in pixels. equalised : each value is its rank among the lungs' instead.
    """

    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    tone: float = 1.0
    blur: float = 0.0
    equalised: bool = False


# By which a film is looked at, in training and after; the answer is the mean.
LOOKS = (
    Look(),
    Look(equalised=True),
    Look(gains=(1.5, 1.2, 0.8), tone=0.8),
    Look(gains=(0.7, 0.9, 1.3), tone=1.25),
    Look(gains=(1.2, 1.4, 0.6), blur=0.7),
)


class Bands:
    """A film's segments (S, rows, columns), taken apart into bands of sizes once for all looks. inside : the lungs, bool."""

    def __init__(self, pixels: Floats, inside: npt.NDArray[np.bool_]) -> None:
        self._inside = inside
        levels = [pixels, *(gaussian_filter(pixels, (0, one, one), truncate=3) for one in _BANDS)]
        self._bands = [finer - coarser for finer, coarser in pairwise(levels)]
        self._coarsest = levels[-1]

    def seen(self, look: Look) -> Floats:
        """(S, rows, columns), 0 to 1."""
        plane = self._coarsest + sum(np.float32(gain) * band for gain, band in zip(look.gains, self._bands, strict=True))
        plane = np.sign(plane) * np.abs(plane) ** np.float32(look.tone)
        if look.blur:
            plane = gaussian_filter(plane, (0, look.blur, look.blur), truncate=3)
        values = plane[self._inside]
        if look.equalised:
            return np.asarray(np.searchsorted(np.sort(values), plane) / max(1, len(values)), np.float32)
        low, high = np.percentile(values, _TAILS)
        return np.asarray(np.clip((plane - np.float32(low)) / np.float32(max(high - low, 1e-6)), 0, 1), np.float32)
