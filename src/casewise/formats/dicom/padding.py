"""PixelPaddingValue: pixels that a DICOM file adds around the image (PS3.3 C.7.5.1.1.2) become its background."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.formats.dicom.elements import whole
from casewise.image import Array

Mask = npt.NDArray[np.bool_]
_FLOATS = ("FloatPixelPaddingValue", "DoubleFloatPixelPaddingValue")
_FLOAT_LIMITS = ("FloatPixelPaddingRangeLimit", "DoubleFloatPixelPaddingRangeLimit")


def padding(array: npt.NDArray[Any], dataset: Any, layers: Sequence[Any]) -> Mask | None:
    """(1, row, column) bool: the stored pixels that are padding; None where the file names none, and for colours.

    array : (C, row, column) as stored. The value and its limit may be those of one frame; a value that was written as the other
    signedness, or as text or bytes, counts as what it means.
    """
    if array.shape[0] != 1 or dataset.get("PhotometricInterpretation") not in ("MONOCHROME1", "MONOCHROME2"):
        return None
    if array.dtype.kind == "f":
        found = _float_padding(array, layers)
    else:
        value = _whole(_element(layers, ("PixelPaddingValue",)), array.dtype)
        limit = _whole(_element(layers, ("PixelPaddingRangeLimit",)), array.dtype)
        if value is None:
            return None
        if limit is None:
            value = _as_decoded(value, dataset)
        low, high = sorted((value, value if limit is None else limit))
        found = (array >= low) & (array <= high)
    return found if found is not None and found.any() else None


def as_background(arrays: Sequence[Array], masks: Sequence[Mask | None]) -> list[Array]:
    """Planes (C, row, column) in their final unit with padding at the darkest value that the image itself has in any of them.

    An image that is padding throughout stays as it is.
    """
    if all(mask is None for mask in masks):
        return list(arrays)
    lowest = [
        array[~mask].min() if mask is not None else array.min()
        for array, mask in zip(arrays, masks, strict=True)
        if mask is None or not mask.all()
    ]
    if not lowest:
        return list(arrays)
    background = min(lowest)
    return [
        array if mask is None else np.where(mask, array.dtype.type(background), array)
        for array, mask in zip(arrays, masks, strict=True)
    ]


def _float_padding(array: npt.NDArray[Any], layers: Sequence[Any]) -> Mask | None:
    value = _number(_element(layers, (*_FLOATS, "PixelPaddingValue")))
    if value is None:
        return None
    if np.isnan(value):
        return np.asarray(np.isnan(array))
    limit = _number(_element(layers, _FLOAT_LIMITS))
    low, high = sorted((value, value if limit is None else limit))
    kind = array.dtype.type
    return np.asarray((array >= kind(low)) & (array <= kind(high)))


def _element(layers: Sequence[Any], keywords: tuple[str, ...]) -> Any:
    for layer in layers:
        for holder in (*(layer.get("PixelValueTransformationSequence") or [])[:1], layer):
            for keyword in keywords:
                value = holder.get(keyword)
                if value not in (None, "", b""):
                    return value
    return None


def _whole(value: Any, kind: np.dtype[Any]) -> int | None:
    """The value as the pixels' own type holds it: 63536 for −2000 where they have 16 bits and a sign, and the reverse."""
    if isinstance(value, bytes):
        value = int.from_bytes(value, "little") if len(value) in (1, 2, 4) else None
    number = _number(value)
    if number is None or not number.is_integer():
        return None
    bounds, size = np.iinfo(kind), 1 << (8 * kind.itemsize)
    whole = int(number)
    if bounds.min <= whole <= bounds.max:
        return whole
    wrapped = whole % size if kind.kind == "u" else (whole + size // 2) % size - size // 2
    return wrapped if -size // 2 <= whole < size else None


def _as_decoded(value: int, dataset: Any) -> int:
    """The decoder drops bits beyond those stored: of 12 bits, 65535 becomes 4095, the brightest value."""
    bits, signed = whole(dataset, "BitsStored") or 0, whole(dataset, "PixelRepresentation") == 1
    brightest = (1 << (bits - int(signed))) - 1 if 1 < bits <= 32 else value
    return brightest if value > brightest and value & brightest == brightest else value


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
