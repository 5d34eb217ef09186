"""DICOM pixels in the unit of their modality: decoded, rescaled, larger is brighter, colours as RGB."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.errors import CasewiseError, UnreadableImageError
from casewise.formats.dicom.codestreams import check_streams
from casewise.formats.dicom.decoders import by_first_able
from casewise.formats.dicom.dose import dose_scaling
from casewise.formats.dicom.elements import whole
from casewise.formats.guard import check_claim
from casewise.image import Array

Mask = npt.NDArray[np.bool_]
_PACKED = 1500.0
_KNOWN = ("HSV", "ARGB", "CMYK", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "XYB")
_READ = ("MONOCHROME1", "MONOCHROME2", "RGB", "PALETTE COLOR", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


def check_decodable(path: Path, dataset: Any) -> None:
    """One sentence if the data set cannot be decoded for a reason that its header shows."""
    from pydicom.pixels import get_decoder

    syntax = dataset.file_meta.get("TransferSyntaxUID") if hasattr(dataset, "file_meta") else None
    if syntax is None:
        msg = f"{path} does not say how it is encoded: it has no transfer syntax; export it as a DICOM Part 10 file."
        raise UnreadableImageError(msg)
    photometric = photometric_of(path, dataset)
    if photometric not in _READ:
        displayed = photometric if photometric in _KNOWN else "of no known name"
        msg = f"{path} has the photometric interpretation {displayed}; read are {', '.join(_READ)}."
        raise UnreadableImageError(msg)
    try:
        get_decoder(syntax)
    except NotImplementedError as error:
        if not syntax.is_valid:
            raise UnreadableImageError(f"{path} has a damaged transfer syntax; export it again.") from error
        name = "" if syntax.name == syntax else f" ({syntax.name})"
        msg = f"{path} is encoded with transfer syntax {syntax}{name}, which is not read; export it uncompressed."
        raise UnreadableImageError(msg) from error


def photometric_of(path: Path, dataset: Any) -> Any:
    """As pydicom has it; None where it is absent. Raises UnreadableImageError where pydicom can make nothing of it."""
    try:
        return dataset.get("PhotometricInterpretation")
    except Exception as error:  # whatever pydicom raises for a damaged element
        msg = f"{path} has a damaged photometric interpretation; read are {', '.join(_READ)}. Export it again."
        raise UnreadableImageError(msg) from error


def check_pixels(path: Path, dataset: Any) -> None:
    """Before pixels are decoded: one sentence if they are absent, claim more memory than may be, or are not as the header says."""
    check_decodable(path, dataset)
    _check_size(path, dataset)
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        check_streams(path, dataset, _claimed(dataset))


def decoded(path: Path, dataset: Any, frame: int | None = None) -> Array:
    """(frame, C, row, column) as stored; only ``frame`` if one is named. YBR and palettes come as RGB."""
    from pydicom.pixels import apply_color_lut

    array = samples(path, dataset, frame)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        array = _eight_bits(apply_color_lut(array, dataset)[..., :3], dataset)
    return np.moveaxis(array, -1, 1) if array.ndim == 4 else array[:, None]


def samples(path: Path, dataset: Any, frame: int | None = None) -> Array:
    """(frame, row, column), of colours (frame, row, column, 3), as stored; only ``frame`` if one is named. YBR comes as RGB."""
    from pydicom.pixels import pixel_array

    check_pixels(path, dataset)
    array = by_first_able(
        path,
        dataset.file_meta.TransferSyntaxUID,
        lambda name: np.asarray(pixel_array(dataset, index=frame, raw=False, decoding_plugin=name)),
    )
    frames = 1 if frame is not None else whole(dataset, "NumberOfFrames") or 1
    colours = (whole(dataset, "SamplesPerPixel") or 1) > 1
    shape = (frames, whole(dataset, "Rows") or 0, whole(dataset, "Columns") or 0)
    if array.size != np.prod(shape) * (3 if colours else 1):
        raise UnreadableImageError(f"{path} decodes to {array.shape}, not to the {shape} that its header claims.")
    return array.reshape((*shape, 3) if colours else shape)


def in_modality_units(array: Array, dataset: Any, layers: list[Any], padded: Mask | None = None) -> tuple[Array, float | None]:
    """(C, row, column) rescaled and, for MONOCHROME1, turned so that larger is brighter.

    Second comes the number that a window's centre is to be subtracted from where the image was turned, else None. Integers stay
    integers where slope and intercept are whole. padded : (C, row, column) bool, pixels that are no part of the image; their values
    come out as some value of the others, for the caller to replace.
    """
    if array.shape[0] != 1 or dataset.get("PhotometricInterpretation") not in ("MONOCHROME1", "MONOCHROME2"):
        return array, None
    if padded is not None and not padded.all():
        array = np.where(padded, array[~padded].min(), array)  # a padding value may lie far outside what the stored bits hold
    low, high = _stored_range(array, dataset)
    if dataset.get("ModalityLUTSequence"):
        from pydicom.pixels import apply_modality_lut

        array = np.asarray(apply_modality_lut(array, dataset))
        low, high = float(array.min()), float(array.max())
    else:
        slope, intercept = _rescale(layers)
        if (slope, intercept) != (1.0, 0.0):
            low, high = sorted((low * slope + intercept, high * slope + intercept))
            array = _linear(array, slope, intercept, low, high)
    if dataset.PhotometricInterpretation == "MONOCHROME2":
        return array, None
    return _linear(array, -1.0, low + high, low, high), low + high


def _stored_range(array: Array, dataset: Any) -> tuple[float, float]:
    """The least and the greatest value that the stored bits can have; of floats and stray bits, that there are."""
    bits = whole(dataset, "BitsStored")
    if array.dtype.kind == "f" or not bits or bits > 32:
        return float(array.min()), float(array.max())
    signed = array.dtype.kind == "i"
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    return float(min(low, array.min())), float(max(high, array.max()))


def _linear(array: npt.NDArray[Any], slope: float, intercept: float, low: float, high: float) -> Array:
    """``array`` · slope + intercept, whose values lie from ``low`` to ``high``."""
    if array.dtype.kind == "f":
        return np.asarray(array * array.dtype.type(slope) + array.dtype.type(intercept))
    if not (slope.is_integer() and intercept.is_integer() and low >= -(1 << 31) and high < 1 << 31):
        wide = np.dtype(np.float32 if array.dtype.itemsize <= 2 else np.float64)
        return np.asarray(array.astype(wide) * wide.type(slope) + wide.type(intercept))
    values = array.astype(np.int64) * int(slope) + int(intercept)
    for kind in (np.uint8, np.int16, np.uint16):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return values.astype(kind)
    return values.astype(np.int32)


def _rescale(layers: list[Any]) -> tuple[float, float]:
    dose = dose_scaling(layers[-1])
    if dose is not None:
        return dose, 0.0
    for layer in layers:
        holder = (layer.get("PixelValueTransformationSequence") or [layer])[0]
        slope, intercept = holder.get("RescaleSlope"), holder.get("RescaleIntercept")
        if slope is None and intercept is None:
            continue
        pair = float(1 if slope in (None, "") else slope), float(0 if intercept in (None, "") else intercept)
        if not np.isfinite(pair).all() or pair[0] == 0:
            raise CasewiseError(f"a rescale slope of {pair[0]:g} and intercept of {pair[1]:g} cannot be.")
        return pair
    return 1.0, 0.0


def _claimed(dataset: Any) -> tuple[int, int, int, int]:
    """Frames, rows, columns and samples a pixel, by the header."""
    return (
        whole(dataset, "NumberOfFrames") or 1,
        whole(dataset, "Rows") or 0,
        whole(dataset, "Columns") or 0,
        whole(dataset, "SamplesPerPixel") or 1,
    )


def check_frames(path: Path, dataset: Any, size: int) -> None:
    """Refuse a number of frames that a file of ``size`` bytes has no room for, before each is looked at."""
    frames, rows, columns, samples = _claimed(dataset)
    syntax = dataset.file_meta.get("TransferSyntaxUID") if hasattr(dataset, "file_meta") else None
    plain = syntax is not None and syntax.is_transfer_syntax and not syntax.is_encapsulated
    # A compressed frame has at least the eight bytes before its first fragment.
    least = rows * columns * samples * (whole(dataset, "BitsAllocated") or 1) // 16 if plain else 8
    if frames > 1 and frames * max(1, least) > size:
        msg = f"{path} claims {frames:,} frames but holds only {size:,} bytes: it is cut short or its header is damaged."
        raise UnreadableImageError(msg)


def check_series(path: Path, dataset: Any, count: int) -> None:
    """Refuse a series of ``count`` files such as this one that would be larger than an image may be, before they are decoded."""
    _, rows, columns, samples = _claimed(dataset)
    check_claim(path, (count, rows, columns, samples), (whole(dataset, "BitsAllocated") or 8) / 8, 1 << 62)


def _check_size(path: Path, dataset: Any) -> None:
    keyword = next((k for k in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if k in dataset), None)
    if keyword is None:
        raise UnreadableImageError(f"{path} is a DICOM file without pixels.")
    value = dataset[keyword].value
    shape = _claimed(dataset)
    packed = dataset.file_meta.TransferSyntaxUID.is_encapsulated
    itemsize = (whole(dataset, "BitsAllocated") or 8) / 8
    if dataset.get("PhotometricInterpretation") == "YBR_FULL_422" and not packed:
        itemsize *= 2 / 3
    check_claim(path, shape, itemsize, len(value or b"") + 1, _PACKED if packed else 1.0)


def _eight_bits(colours: npt.NDArray[Any], dataset: Any) -> Array:
    """A palette of 16-bit entries as the 8 bits that a screen shows; one whose entries are 8-bit numbers as it is."""
    if colours.dtype == np.uint8:
        return colours
    entries = dataset.get("RedPaletteColorLookupTableData")
    eight = entries is not None and colours.max() <= 255 and np.frombuffer(entries, np.uint16).max() <= 255
    return colours.astype(np.uint8) if eight else np.right_shift(colours, 8).astype(np.uint8)
