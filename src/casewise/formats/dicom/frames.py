"""Single frames of a DICOM file: as they are stored, or decoded to native pixels with the least byte first."""

from __future__ import annotations

import math

import numpy as np

from casewise.errors import UnreadableImageError
from casewise.formats.dicom.elements import whole
from casewise.formats.dicom.json_model import little
from casewise.formats.dicom.pixels import photometric_of, samples
from casewise.formats.dicom.stored import EXPLICIT, Pixels, Stored
from casewise.formats.guard import check_claim, one_sentence
from casewise.image import Array

_FRAMES = 0x00280008
_WORD = {"OB": 1, "OW": 2, "OF": 4, "OD": 8}


def count_of_frames(stored: Stored) -> int:
    """0 for a file without pixels."""
    return 0 if stored.pixels is None else max(1, whole(stored.header, "NumberOfFrames") or 1)


def stored_frame(stored: Stored, number: int) -> bytes:
    """The compressed stream of a frame, from 0. Raises UnreadableImageError where it is not there, or the file is damaged."""
    from pydicom.encaps import get_frame

    pixels = _pixels(stored, number)
    table = None
    if "ExtendedOffsetTable" in stored.header and "ExtendedOffsetTableLengths" in stored.header:
        table = stored.header.ExtendedOffsetTable, stored.header.ExtendedOffsetTableLengths
    stored.file.seek(pixels.start)
    with one_sentence(stored.path, "a DICOM file", quote=False):
        return bytes(get_frame(stored.file, number, extended_offsets=table, number_of_frames=count_of_frames(stored)))


def native_frame(stored: Stored, number: int) -> bytes:
    """The pixels of a frame, from 0, as Explicit VR Little Endian has them.

    Those that are stored uncompressed are as the header describes them (packed bits of a segmentation begin with a new byte in each
    frame). Compressed ones are decoded: grey values and indices of palettes as they are, colours as RGB, in planes where
    PlanarConfiguration is 1. Raises UnreadableImageError.
    """
    pixels = _pixels(stored, number)
    if not pixels.fragments:
        return _cut(stored, pixels, number)
    array = _decoded(stored, number)
    if array.ndim == 4 and whole(stored.header, "PlanarConfiguration") == 1:
        array = np.moveaxis(array, -1, 1)
    if whole(stored.header, "BitsAllocated") == 1:
        return np.packbits(array.astype(bool).ravel(), bitorder="little").tobytes()
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def _decoded(stored: Stored, number: int) -> Array:
    """(1, row, column[, 3]); the one frame alone is given to the decoder."""
    from pydicom.dataset import Dataset
    from pydicom.encaps import encapsulate

    data = stored_frame(stored, number)
    alone = Dataset()
    alone.file_meta = stored.header.file_meta
    for tag in sorted(stored.header.keys()):
        if tag.group == 0x0028 and tag != _FRAMES:
            alone[tag] = stored.header[tag]
    alone.PixelData = encapsulate([data])
    alone["PixelData"].is_undefined_length = True
    alone["PixelData"].VR = "OB"
    with one_sentence(stored.path, "a DICOM file", quote=False):
        return samples(stored.path, alone)


def _cut(stored: Stored, pixels: Pixels, number: int) -> bytes:
    """A frame of pixels that are not compressed."""
    header = stored.header
    shape = [whole(header, keyword) or 0 for keyword in ("Rows", "Columns")] + [whole(header, "SamplesPerPixel") or 1]
    bits = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}.get(pixels.keyword) or whole(header, "BitsAllocated") or 0
    check_claim(stored.path, (count_of_frames(stored), *shape), bits / 8 / 2, 1 << 62)
    length = math.prod(shape) * bits
    if photometric_of(stored.path, header) == "YBR_FULL_422":
        length = length * 2 // 3
    first = length * number
    begin, end = first // 8, -(-(first + length) // 8)
    size = bits // 8
    if stored.big and bits <= 8:
        size = _WORD.get(pixels.vr, 1)  # bytes of a value of words lie in pairs
    low, high = begin // max(1, size) * max(1, size), -(-end // max(1, size)) * max(1, size)
    if not length or pixels.start + end > pixels.end:
        raise UnreadableImageError(f"{stored.path} is cut short: frame {number} is not whole; export it again.")
    stored.file.seek(pixels.start + low)
    data = stored.file.read(high - low)
    data = little(data, size, ">" if stored.big else "<")[begin - low : end - low]
    return data if first % 8 == 0 and length % 8 == 0 else _from_bit(data, first % 8, length)


def _from_bit(data: bytes, first: int, count: int) -> bytes:
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[first : first + count]
    return np.packbits(bits, bitorder="little").tobytes()


def _pixels(stored: Stored, number: int) -> Pixels:
    if stored.pixels is None:
        raise UnreadableImageError(f"{stored.path} is a DICOM file without pixels.")
    if not 0 <= number < count_of_frames(stored):
        raise UnreadableImageError(f"{stored.path} has {count_of_frames(stored)} frames; there is no frame {number}, from 0.")
    return stored.pixels


def media_type(stored: Stored) -> tuple[str, str]:
    """(media type, transfer syntax) of a frame as it is stored (PS3.18, table 8.7.3-5)."""
    if stored.pixels is None or not stored.pixels.fragments:
        return "application/octet-stream", EXPLICIT
    for syntaxes, kind in _MEDIA.items():
        if stored.syntax in syntaxes:
            return kind, stored.syntax
    return "application/octet-stream", stored.syntax


_FOUR = "1.2.840.10008.1.2.4"
_MEDIA = {
    ("1.2.840.10008.1.2.5",): "image/dicom-rle",
    (f"{_FOUR}.50", f"{_FOUR}.51", f"{_FOUR}.57", f"{_FOUR}.70"): "image/jpeg",
    (f"{_FOUR}.80", f"{_FOUR}.81"): "image/jls",
    (f"{_FOUR}.90", f"{_FOUR}.91"): "image/jp2",
    (f"{_FOUR}.92", f"{_FOUR}.93"): "image/jpx",
    (f"{_FOUR}.201", f"{_FOUR}.202", f"{_FOUR}.203"): "image/jphc",
}
