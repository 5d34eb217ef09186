"""Statistics of a film's lungs, zone by zone: what is judged by logistic regression where films are too few for a network."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from scipy import stats
from scipy.ndimage import gaussian_filter
from skimage.feature import local_binary_pattern
from torch.nn import functional

from casewise.image import Box

_EDGE = 384
_BANDS = (2, 4, 8, 16)
_ZONES = 3
Floats = npt.NDArray[np.float32]


def texture(film: Floats, lungs: tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]) -> npt.NDArray[np.float64]:
    """Of the upper, middle and lower third of the lungs (the mean of both sides, so that neither tells): level, spread and shape of
    the histogram, energy and tails of five bands of sizes, and local binary patterns.

    Intensities are given in spreads about the median of both lungs, so that exposure and development drop out.
    """
    box = Box.around(lungs[0] | lungs[1])
    if box is None:
        return np.zeros(_ZONES)
    picture = resized(film[box.slices], _EDGE)
    sides = [resized(lung[box.slices].astype(np.float32), _EDGE) > 0.5 for lung in lungs]
    inside = sides[0] | sides[1]
    low, middle, high = np.percentile(picture[inside], (16, 50, 84))
    even = (picture - middle) / max(high - low, 1)
    levels = [even, *(gaussian_filter(even, scale) for scale in (*_BANDS, 2 * _BANDS[-1]))]
    bands = [finer - coarser for finer, coarser in pairwise(levels)]
    patterns = local_binary_pattern((np.clip(even, -3, 3) * 40 + 128).astype(np.uint8), 8, 2, "uniform")
    found = np.array([[_zone(even, bands, patterns, zone) for zone in _thirds(side)] for side in sides])
    return np.asarray(np.nanmean(found, axis=0).ravel())


def _thirds(side: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.bool_]]:
    rows = np.flatnonzero(side.any(1))
    bounds = np.linspace(rows[0], rows[-1] + 1, _ZONES + 1).astype(int) if len(rows) else np.zeros(_ZONES + 1, int)
    number = np.arange(len(side))[:, None]
    return [side & (number >= top) & (number < bottom) for top, bottom in pairwise(bounds)]


def _zone(even: Floats, bands: list[Floats], patterns: npt.NDArray[np.float64], zone: npt.NDArray[np.bool_]) -> list[float]:
    if zone.sum() < 50:
        return [float("nan")] * (9 + 4 * len(bands) + 9)
    values = even[zone]
    found = [values.mean(), values.std(), stats.skew(values), stats.kurtosis(values), *np.percentile(values, (5, 25, 50, 75, 95))]
    for band in bands:
        part = band[zone]
        found += [np.log(part.std() + 1e-3), stats.skew(part), *np.percentile(part, (3, 97))]
    return [float(value) for value in (*found, *np.histogram(patterns[zone], np.arange(10), density=True)[0])]


def resized(values: Floats, edge: int) -> Floats:
    """(edge, edge)."""
    tensor = torch.from_numpy(np.ascontiguousarray(values))[None, None]
    return functional.interpolate(tensor, size=(edge, edge), mode="bilinear", align_corners=False, antialias=True)[0, 0].numpy()
