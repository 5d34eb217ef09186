"""Intensities of one sequence brought to a common scale: quantitative ones to their unit, all others to mean 0, deviation 1."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from casewise.errors import CasewiseError
from casewise.image import Array
from casewise.intensity import percentile_range

Floats = npt.NDArray[np.float32]

_SAMPLES = 500_000
_EMPTY = 0.1  # the share of voxels of the lowest value from which on that value is no tissue
_DIM = 0.15  # tissue far from the coil is this much brighter than air, of the difference of what is dark and bright
_FURTHEST = 5.0  # deviations
_ADC_SCALE = 1e-3  # ADC maps come out in 10⁻³ mm²/s: water at 3, tissue from 0.5 to 2
# The median of tissue in 10⁻⁶ mm²/s, as DICOM's ADC maps have it, and what it is in other units.
_ADC_MEDIAN = (150.0, 5000.0)
_ADC_UNITS = (("10⁻³ mm²/s", 1e3), ("mm²/s", 1e6), ("10⁻⁵ mm²/s", 1e1), ("10⁻⁹ mm²/s", 1e-3))
QUANTITATIVE = ("ADC",)


def foreground(array: Array) -> npt.NDArray[np.bool_]:
    """(*spatial) bool: the foreground of an image, by its values alone.

    Where a tenth of the voxels have the lowest value (a brain without its skull, a picture with a border), everything above it;
    elsewhere everything that is not as dark as air, by Otsu's threshold.
    """
    sample = _sample(array)
    if sample.size == 0:
        return np.zeros(array.shape, bool)
    lowest = sample.min()
    if np.mean(sample == lowest) >= _EMPTY:
        return np.asarray(np.isfinite(array) & (array > lowest))
    from skimage.filters import threshold_otsu

    low, high = percentile_range(sample)
    if not high > low:
        return np.isfinite(array)
    clipped = np.clip(sample, low, high)
    bright = clipped > threshold_otsu(clipped)
    dark, light = float(clipped[~bright].mean()), float(clipped[bright].mean())
    return np.isfinite(array) & np.greater(array, dark + _DIM * (light - dark))


def normalised(array: Array, kind: str, within: npt.NDArray[np.bool_] | None = None) -> Floats:
    """float32 (*spatial) of a sequence's values.

    kind : ``ADC`` (10⁻⁶ mm²/s) becomes 10⁻³ mm²/s, so that its absolute values stay; every other sequence gets mean 0 and standard
    deviation 1 over ``within`` (:func:`foreground` without it), measured without the brightest and darkest hundredth, and is cut at
    5 deviations.
    """
    if kind in QUANTITATIVE:
        return np.asarray(np.clip(array.astype(np.float32) * np.float32(_ADC_SCALE), 0, _FURTHEST).astype(np.float32))
    within = foreground(array) if within is None else within
    values = _sample(array[within])
    if values.size == 0:
        return np.zeros(array.shape, np.float32)
    low, high = percentile_range(values, (1, 99))
    inner = values[(values >= low) & (values <= high)].astype(np.float64)
    deviation = float(inner.std())
    scaled = (array.astype(np.float32) - np.float32(inner.mean())) / np.float32(deviation if deviation > 0 else 1.0)
    return np.asarray(np.clip(scaled, -_FURTHEST, _FURTHEST))


def check_unit(array: Array, name: str) -> None:
    """Raises CasewiseError, one sentence, for an ADC map that is not in 10⁻⁶ mm²/s; other sequences have no unit."""
    values = _sample(array)
    values = values[values > 0]
    if values.size == 0:
        raise CasewiseError(f"{name} holds no value above 0: it is empty.")
    median = float(np.median(values))
    lowest, highest = _ADC_MEDIAN
    if lowest <= median <= highest:
        return
    fits = next(((unit, factor) for unit, factor in _ADC_UNITS if lowest <= median * factor <= highest), None)
    given = f"{name} has a median of {median:.3g}, where an ADC map in 10⁻⁶ mm²/s has {lowest:.0f} to {highest:.0f}"
    if fits is None:
        raise CasewiseError(f"{given}: it is no ADC map, or in an unknown unit; give one in 10⁻⁶ mm²/s.")
    raise CasewiseError(f"{given}: it seems to be in {fits[0]}; multiply it by {fits[1]:,.12g}.")


def _sample(array: Array) -> npt.NDArray[np.float64]:
    flat = array.reshape(-1)[:: array.size // _SAMPLES | 1].astype(np.float64)
    return flat[np.isfinite(flat)]
