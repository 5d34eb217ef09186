"""What the numbers in a mask's file are: labels of structures, or one structure whose edge has shades of grey.

A mask that was resized with interpolation, drawn with antialiasing or saved as JPEG has values between its levels. Where there are
two levels, background and structure, the structure is what lies above the half. Where there are more, a shade between two of them
can be a third (half of 170 is 85): such a file is refused, as is a picture with shades all over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.errors import CasewiseError

Numbers = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

MOST = 1024
_SMALL = 16  # whole numbers up to here are labels whatever their places: no shade of grey is as coarse
_ROUNDING = 0.1
_NOTHING = 0.01
_REACH = 16  # pixels from the middle of an edge to its ends
_NEAR = 24  # pixels around an edge in which compression and smoothing leave traces
_SAMPLE = 1 << 24  # voxels; of larger volumes some slices are looked at
_NEIGHBOURS = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if (down, right) != (0, 0)]


def _ndimage() -> Any:
    """SciPy's filters, imported when a mask first needs them: to import ``casewise.formats`` stays cheap."""
    from scipy import ndimage

    return ndimage


@dataclass(frozen=True)
class Levels:
    """The values of a mask's structures, in their order; none in an empty mask.

    above : where a single structure has a soft edge, the number above which it begins; None where the values are labels.
    """

    values: tuple[int, ...]
    above: float | None = None


def levels(array: Numbers, lossy: bool = False) -> Levels:
    """What is drawn in ``array`` (*spatial), 0 being background. lossy : whether the file's compression changes values (JPEG).

    Raises CasewiseError with the rest of a sentence ("holds …") where the values do not say what they are.
    """
    values = _values(array)
    if values.size and float(values[0]) < 0 and not _is_ringing(values):
        raise CasewiseError(
            f"holds negative values down to {values[0]:g}; labels are 1, 2, … (a value of 255 stored with a sign reads as -1)"
        )
    whole = _is_whole(values)
    labels = np.unique(np.rint(values[values > 0.5])).astype(np.int64) if whole else np.empty(0, np.int64)
    if lossy and labels.size and labels[-1] < 2 * _SMALL:
        raise CasewiseError(_why_not(values, whole, lossy))
    if whole and labels.size <= 1:
        return Levels(tuple(int(value) for value in labels))
    array = _sampled(array)
    if whole and not lossy and _are_labels(array, labels):
        if labels.size > MOST:
            raise CasewiseError(f"holds {labels.size} different values; at most {MOST} structures are taken from one file")
        return Levels(tuple(int(value) for value in labels))
    half = _half_of_soft(array, lossy)
    if half is not None:
        return Levels((1,), half)
    raise CasewiseError(_why_not(values, whole, lossy))


def labels_of(array: Numbers) -> npt.NDArray[np.int64]:
    """(*spatial) whole numbers of a label file whose values may be off by rounding."""
    if array.dtype.kind in "iub":
        return array.astype(np.int64)
    return np.rint(array).astype(np.int64)


def _values(array: Numbers) -> Numbers:
    """The different values, ascending."""
    if array.dtype == np.uint8 and array.size:
        lowest, highest = array.min(), array.max()
        if highest - lowest <= 1 or ((array == lowest) | (array == highest)).all():  # most masks
            return np.unique([lowest, highest])
    if array.dtype.kind in "iu" and array.dtype.itemsize <= 2:
        there = np.zeros(1 << 16, bool)
        for part in array:  # part by part: the whole would be copied as 64-bit numbers
            there[part] = True  # negative ones count from the end
        values = np.flatnonzero(there)
        return np.sort(np.where(values > np.iinfo(array.dtype).max, values - (1 << 16), values))
    return np.unique(array)


def _sampled(array: Numbers) -> Numbers:
    """The array, or evenly spaced slices of a large volume: what its values are shows in some."""
    return array[..., :: 1 + array.size // _SAMPLE] if array.ndim == 3 else array


def _is_whole(values: Numbers) -> bool:
    """Whether values are whole numbers, but for rounding (a scale factor's); a small fraction of 1 is a value, not nothing."""
    if values.dtype.kind in "iub":
        return True
    off = np.abs(values - np.rint(values))
    return bool(np.all(off <= _NOTHING) or (np.all(off <= _ROUNDING) and np.all(off[np.abs(values) < 0.5] <= _NOTHING)))


def _is_ringing(values: Numbers) -> bool:
    """Whether negative values are the small ones that cubic interpolation leaves beside an edge."""
    return bool(values.dtype.kind == "f" and not _is_whole(values) and -float(values[0]) <= 0.25 * float(values[-1]))


def _are_labels(array: Numbers, values: npt.NDArray[np.int64]) -> bool:
    """Whether whole numbers lie in areas of one value each, as labels do, not along the way from one value to another."""
    top = int(values[-1])
    if top <= _SMALL:
        return True
    drawn = array > 0
    if values.size > 2 and _is_thin(drawn) and _mixing(array, drawn) > 0.1:
        return False
    solid, ramp = _solid(array), _ramp(array)
    between = drawn & (array < top)
    solid_values = np.unique(array[solid & between])
    loose = np.setdiff1d(np.intersect1d(values[:-1], np.unique(array[between])), solid_values)
    if values.size > 64 and (not _steps_jump(array) or solid[between].mean() < 0.5):
        return False  # wide shades have areas of one value too, but then each step is to the next value
    if loose.size <= 0.2 * values.size:
        return True  # a few small structures among others; blended values would be many
    of_loose = between & np.isin(array, loose)
    if ramp[of_loose].mean() >= 0.8:
        return loose.size == 1 and values.size >= 4 and _is_regular(values)
    if _mixing(array, of_loose) > 0.5:
        return False
    return values.size <= _SMALL or bool(solid[between].sum() >= 0.5 * between.sum())


def _half_of_soft(array: Numbers, lossy: bool) -> float | None:
    """The number above which the one structure of a mask with a soft edge begins; None where it is no such mask."""
    numbers = array.astype(np.float32)
    top = _top(numbers)
    low, high = numbers < 0.25 * top, numbers > 0.75 * top
    middle = ~low & ~high
    if not low.any() or not high.any() or abs(top - round(top)) > 0.02 or round(top) < 1:
        return None
    if array.dtype.kind in "iu" and top < 2 * _SMALL:
        return None
    near_top = np.abs(numbers - top) <= 0.1 * top
    if near_top.sum() < 0.25 * (numbers > 0.5 * top).sum():
        return None  # a heat map: it has no level of its own
    spread = _spread(numbers)
    if middle.any():
        beside = _within(low, _REACH) & _within(high, _REACH)
        even = middle & (spread <= 0.08 * top)
        if beside[middle].mean() < 0.9 or even.sum() > 0.02 * middle.sum():
            return None
    # A fainter structure has areas of one value; what interpolation and compression leave has few, and lies near an edge.
    faint = low & (np.abs(numbers) > 0.003 * top)
    if faint.any():
        even = faint & (spread <= (0.01 * top if lossy else 0.0))
        if not _within(~low, _NEAR)[faint].all() or even.sum() > (0.2 if lossy else 0.02) * high.sum():
            return None
    if lossy:
        # Compression leaves waves about the level beside an edge, but no area above it.
        apart = low & ~_within(~low, 3)
        mean = _ndimage().uniform_filter(numbers, (5, 5) + (1,) * (numbers.ndim - 2))
        if int((mean[apart] > 0.06 * top).sum()) > 8:
            return None
    return 0.5 * round(top)


def _top(numbers: npt.NDArray[np.float32]) -> float:
    """The structure's own level: the commonest value in the upper half, since interpolation may overshoot."""
    upper = numbers[numbers > 0.5 * float(numbers.max())]
    if not upper.size:
        return 0.0
    counts, edges = np.histogram(upper, bins=64)
    first = int(counts.argmax())
    return float(np.median(upper[(upper >= edges[first]) & (upper <= edges[first + 1])]))


def _why_not(values: Numbers, whole: bool, lossy: bool) -> str:
    if lossy:
        return "is a JPEG, whose compression blurs labels into each other; save it as PNG from the annotation itself"
    what = f"holds {values.size} different values" if whole else "holds values that are not whole numbers"
    return (
        f"{what}, and some lie between others as a resized or smoothed mask's do, so that they are no labels for sure; "
        "save it again without interpolation (nearest neighbour), a whole number for each structure and 0 for none"
    )


def _is_regular(values: npt.NDArray[np.int64]) -> bool:
    """Whether values are the multiples of one step, as encodings of labels are (12, 24, 36, …)."""
    step = int(np.gcd.reduce(values))
    return step > 1 and values.size >= 0.5 * int(values[-1]) / step


def _solid(array: Numbers) -> Mask:
    """(*spatial) pixels with at least three of their eight neighbours in a plane alike: a square of four has that, a line not."""
    alike = np.zeros(array.shape, np.uint8)
    for neighbour in _moved(array):
        alike += neighbour == array
    return alike >= 3


def _ramp(array: Numbers) -> Mask:
    """(*spatial) pixels with a lower and a higher one among their neighbours in a plane."""
    size = (3, 3) + (1,) * (array.ndim - 2)
    return np.asarray((_ndimage().minimum_filter(array, size) < array) & (_ndimage().maximum_filter(array, size) > array))


def _spread(numbers: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    size = (3, 3) + (1,) * (numbers.ndim - 2)
    return np.asarray(_ndimage().maximum_filter(numbers, size) - _ndimage().minimum_filter(numbers, size))


def _within(mask: Mask, reach: int) -> Mask:
    """(*spatial) what lies within ``reach`` pixels of the mask, along the axes of a plane."""
    size = (2 * reach + 1, 2 * reach + 1) + (1,) * (mask.ndim - 2)
    return np.asarray(_ndimage().maximum_filter(mask.astype(np.uint8), size) > 0)


def _mixing(array: Numbers, chosen: Mask) -> float:
    """The share of pairs of different values among the pairs of a chosen pixel and a neighbour, neither of them background.

    Pixels of a thin structure mostly have neighbours of their own value; along an antialiased line values change.
    """
    pairs = differing = 0
    for neighbour in _moved(array):
        both = chosen & (neighbour > 0)
        pairs += int(both.sum())
        differing += int((both & (neighbour != array)).sum())
    return differing / pairs if pairs else 0.0


def _is_thin(drawn: Mask) -> bool:
    """Whether hardly anything of it is three pixels wide both ways in a plane, so that antialiasing leaves nothing whole."""
    size = (3, 3) + (1,) * (drawn.ndim - 2)
    inner = _ndimage().minimum_filter(drawn.astype(np.uint8), size)
    return bool(inner.sum() < 0.1 * drawn.sum())


def _steps_jump(array: Numbers) -> bool:
    """Whether neighbours that differ do so by more than the next value or two."""
    differing = close = 0
    for axis in (0, 1):
        steps = np.abs(np.diff(array.astype(np.int64), axis=axis))
        differing += int((steps > 0).sum())
        close += int(((steps > 0) & (steps <= 2)).sum())
    return close < 0.5 * differing


def _moved(array: Numbers) -> list[Numbers]:
    """The array moved to each of its eight neighbours in the plane of its first two axes; outside lies what is found nowhere."""
    framed = np.full((array.shape[0] + 2, array.shape[1] + 2, *array.shape[2:]), -1, np.result_type(array.dtype, np.int16))
    framed[1:-1, 1:-1] = array
    rows, columns = array.shape[:2]
    return [framed[1 + down : 1 + down + rows, 1 + right : 1 + right + columns] for down, right in _NEIGHBOURS]
