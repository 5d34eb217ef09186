"""How alike a voxel's intensity is to what was marked: histograms of the object and of the rest, as graph-cut tools weigh them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_BINS = 32
_SPREAD = 1.0  # bins by which each histogram is smoothed
_LEAST = 0.02  # of a voxel's chance that is spread evenly over all intensities
LIMIT = 3.0  # of the logarithm of the ratio; the answer is in units of it


def histogram(image: Floats, where: Mask) -> npt.NDArray[np.float64] | None:
    """(C, bins): the smoothed share of each intensity (0…1) among the voxels; None without any. image : (C, *grid)."""
    if not where.any():
        return None
    places = np.minimum((image[:, where] * _BINS).astype(np.int64), _BINS - 1)
    counts = np.stack([np.bincount(row, minlength=_BINS) for row in places]).astype(float)
    smooth = gaussian_filter1d(counts, _SPREAD, axis=1, mode="nearest")
    return np.asarray((1 - _LEAST) * smooth / smooth.sum(axis=1, keepdims=True) + _LEAST / _BINS)


def log_ratio(image: Floats, inner: npt.NDArray[np.float64] | None, outer: npt.NDArray[np.float64] | None) -> Floats:
    """(*grid) float32 in −1…1: the logarithm of the ratio of two histograms at each voxel, its mean over the channels.

    Where one of the two is unknown, all intensities count as equally likely in it; where both are, the answer is 0.
    """
    if inner is None and outer is None:
        return np.zeros(image.shape[1:], np.float32)
    even = np.full((len(image), _BINS), 1 / _BINS)
    ratios = np.log((even if inner is None else inner) / (even if outer is None else outer))
    table = np.clip(ratios, -LIMIT, LIMIT).astype(np.float32) / np.float32(LIMIT)
    places = np.minimum((image * _BINS).astype(np.int64), _BINS - 1)
    found: Floats = np.mean([row[place] for row, place in zip(table, places, strict=True)], axis=0, dtype=np.float32)
    return found
