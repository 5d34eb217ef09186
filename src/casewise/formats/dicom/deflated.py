"""Deflated DICOM files, unfolded no further than their header's own size."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO

from casewise.errors import UnreadableImageError
from casewise.formats.guard import check_claim

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_PLAIN = b"1.2.840.10008.1.2.1\0"
_LONG = (b"OB", b"UN", b"SQ", b"OW", b"UT", b"OF", b"OD", b"OL", b"OV", b"UC", b"UR")
_CHUNK = 1 << 20
# All that a header takes beside the pixels; what is unfolded beyond both is refused.
_HEADER = 64 << 20


def inflated(path: Path, file: BinaryIO) -> io.BytesIO | None:
    """The same file without its compression; None (and ``file`` at its begin) for a file that has none."""
    head = file.read(1 << 16)
    file.seek(0)
    place = _syntax_in(head)
    if place is None:
        return None
    value, end = place
    meta = bytearray(head[:end])
    # The length of the name may change: that of the group before it is no longer checked by anyone.
    meta[value[0] - 2 : value[1]] = struct.pack("<H", len(_PLAIN)) + _PLAIN
    file.seek(end)
    unfolder = zlib.decompressobj(-zlib.MAX_WBITS)
    content = bytearray()
    allowed: int | None = None
    while not unfolder.eof:
        packed = unfolder.unconsumed_tail or file.read(_CHUNK)
        try:
            part = unfolder.decompress(packed, _CHUNK)
        except zlib.error as error:
            raise UnreadableImageError(f"{path} is damaged: its deflated data set cannot be unfolded.") from error
        if not packed and not part:
            raise UnreadableImageError(f"{path} is cut short: its deflated data set ends before it is whole.")
        content += part
        if len(content) > _HEADER:
            allowed = allowed if allowed is not None else _HEADER + _claimed(path, bytes(meta), content)
            if len(content) > allowed:
                msg = f"{path} unfolds to more than the {allowed - _HEADER:,} bytes of pixels that it describes; it is refused."
                raise UnreadableImageError(msg)
    return io.BytesIO(bytes(meta) + content)


def _syntax_in(head: bytes) -> tuple[tuple[int, int], int] | None:
    """Where the value of a deflated transfer syntax lies in the file meta information, and where that ends."""
    if head[128:132] != b"DICM":
        return None
    place, found = 132, None
    while place + 12 <= len(head) and head[place : place + 2] == b"\x02\x00":
        representation = head[place + 4 : place + 6]
        start = place + (12 if representation in _LONG else 8)
        length = (
            struct.unpack_from("<I", head, place + 8)[0] if start - place == 12 else struct.unpack_from("<H", head, place + 6)[0]
        )
        if head[place : place + 4] == b"\x02\x00\x10\x00" and head[start : start + length].rstrip(b"\0 ") == _DEFLATED:
            found = start, start + length
        place = start + length
    return (found, place) if found else None


def _claimed(path: Path, meta: bytes, content: bytearray) -> int:
    """Bytes of pixels that the header behind ``meta`` describes."""
    from pydicom import dcmread

    dataset: Any = dcmread(io.BytesIO(meta + bytes(content)), stop_before_pixels=True, force=True)
    shape = [int(dataset.get(keyword) or 1) for keyword in ("NumberOfFrames", "Rows", "Columns", "SamplesPerPixel")]
    itemsize = int(dataset.get("BitsAllocated") or 8) / 8
    check_claim(path, shape, itemsize, 1 << 62)
    size = itemsize
    for length in shape:
        size *= length
    return int(size)
