"""Which mask a network's answer stands for: the one whose Dice is greatest on average, if its probabilities are true.

Where a network is unsure everywhere, no voxel may be more likely object than not, and yet an empty mask is the worst answer of all.
The best threshold is half the greatest expected Dice (Lipton 2014, arXiv 1402.1892), so never above one half.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import expit

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_LEAST = 0.05


def at_best_threshold(logits: Floats, box: Mask) -> Floats:
    """(*grid) ``logits`` moved so that their sign is the mask of greatest expected Dice within ``box``."""
    chances = np.sort(expit(logits[box].astype(np.float64)))[::-1]
    if not len(chances):
        return logits
    sums = np.cumsum(chances)
    scores = 2 * sums / (np.arange(1, len(chances) + 1) + sums[-1])
    threshold = float(np.clip(scores.max() / 2, _LEAST, 0.5))
    moved: Floats = (logits - np.log(threshold / (1 - threshold))).astype(np.float32)
    return moved


def expected_dice(logits: Floats, box: Mask) -> float:
    """Of the places within ``box`` (*grid) with ``logits`` above 0, by the probabilities themselves; 0 where there are none."""
    chances = expit(logits[box].astype(np.float64))
    found = chances[chances > 0.5]
    return float(2 * found.sum() / (chances.sum() + len(found))) if len(found) else 0.0
