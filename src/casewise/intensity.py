"""Intensities: grey values of colours, the range that percentiles span, and values rescaled to 0…1 within a range."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

TAILS = (0.5, 99.5)  # percent: what lies beyond these percentiles is cut off
LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue, as ITU-R BT.601 has it


def grey(array: npt.NDArray[Any]) -> Floats:
    """(*spatial) float32 of an image's (C, *spatial): the luminance of three channels, the mean of any other number."""
    channels = len(array)
    weights = np.array(LUMINANCE if channels == 3 else [1 / channels] * channels, np.float32)
    return np.asarray(np.tensordot(weights, array.astype(np.float32, copy=False), axes=1))


def percentile_range(values: npt.NDArray[Any], tails: tuple[float, float] = TAILS) -> tuple[float, float]:
    """(low, high): the percentiles ``tails`` of all ``values``, which must be finite and at least one."""
    low, high = np.percentile(values, tails)
    return float(low), float(high)


def rescaled(values: npt.NDArray[Any], low: npt.ArrayLike, high: npt.ArrayLike) -> Floats:
    """float32 of the same shape: ``low`` and below becomes 0, ``high`` and above 1.

    low, high : numbers, or arrays that broadcast. Where ``high`` is not above ``low``, what is above ``low`` is measured in the
    values' own unit.
    """
    low, high = np.asarray(low), np.asarray(high)
    spread = np.where(high > low, high - low, 1).astype(np.float32)
    return np.asarray(np.clip((values.astype(np.float32, copy=False) - low.astype(np.float32)) / spread, 0, 1))


def unit_range(values: npt.NDArray[Any], tails: tuple[float, float] = TAILS) -> Floats:
    """float32 of the same shape: the values' own percentiles ``tails`` become 0 and 1."""
    return rescaled(values, *percentile_range(values, tails))


def unit_range_each(values: Floats) -> Floats:
    """(N, ...) float32: each of N by its own percentiles, see :func:`unit_range`."""
    flat = values.reshape(len(values), -1)
    low, high = np.percentile(flat, TAILS, axis=1, keepdims=True).astype(np.float32)
    return rescaled(flat, low, high).reshape(values.shape)
