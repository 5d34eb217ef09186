"""A DICOM file that is open: its header, and where its pixels lie, which are not read."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from casewise.errors import UnreadableImageError
from casewise.formats.dicom.deflated import inflated
from casewise.formats.dicom.pixels import check_frames
from casewise.formats.guard import BoundedFile, one_sentence

EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED = (f"1.2.840.10008.1.2{ending}" for ending in (".1", "", ".2", ".1.99"))
NATIVE = (EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED)
_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_UNDEFINED = 0xFFFFFFFF
_KEYWORDS = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}


@dataclass(frozen=True)
class Pixels:
    """Where the element of the pixels lies in a file: offsets in bytes of its tag (``element``), of its value (``start``) and of
    what follows (``end``).

    fragments : whether the value is encapsulated.
    """

    keyword: str
    vr: str
    element: int
    start: int
    end: int
    fragments: bool


@dataclass(frozen=True, eq=False)
class Stored:
    """header : a pydicom data set without pixels. syntax : the transfer syntax that the file names. file : open, unfolded where the
    file is deflated. pixels : None where it has none.
    """

    path: Path
    header: Any
    syntax: str
    file: BinaryIO
    pixels: Pixels | None

    @property
    def big(self) -> bool:
        return self.syntax == BIG_ENDIAN


@contextmanager
def stored(path: Path) -> Iterator[Stored]:
    """Open a file. Raises UnreadableImageError, one sentence, where it has gone, is no DICOM file or names no transfer syntax."""
    with one_sentence(path, "a DICOM file", quote=False):
        file = BoundedFile(path)
    with file:
        with one_sentence(path, "a DICOM file", quote=False):
            found = _read(path, file)
        yield found


def _read(path: Path, file: BoundedFile) -> Stored:
    from pydicom import dcmread

    unfolded = inflated(path, file)
    source: BinaryIO = unfolded or file
    size = unfolded.getbuffer().nbytes if unfolded else file.size
    header = dcmread(source, force=True, stop_before_pixels=True)
    check_frames(path, header, size)
    meta = getattr(header, "file_meta", None)
    syntax = "" if meta is None else str(meta.get("TransferSyntaxUID", ""))
    if not syntax or not len(header):
        raise UnreadableImageError(f"{path} does not say how it is encoded, or has no header; export it as a DICOM Part 10 file.")
    pixels = _pixels(path, source, size, syntax, bool(header.original_encoding[0]))
    return Stored(path, header, DEFLATED if unfolded else syntax, source, pixels)


def _pixels(path: Path, file: BinaryIO, size: int, syntax: str, implicit: bool) -> Pixels | None:
    """Pydicom has stopped before the pixels, or at the end of the file."""
    element, order = file.tell(), ">" if syntax == BIG_ENDIAN else "<"
    head = file.read(12)
    if len(head) < 8:
        return None
    group, number = struct.unpack_from(f"{order}HH", head)
    keyword = _KEYWORDS.get(group << 16 | number)
    if keyword is None:
        return None
    vr, start = ("OW", element + 8) if implicit else (head[4:6].decode("ascii", "replace"), element + 12)
    (length,) = struct.unpack_from(f"{order}I", head, 4 if implicit else 8) if len(head) == 12 or implicit else (0,)
    if length != _UNDEFINED:
        return Pixels(keyword, vr, element, start, min(start + length, size), fragments=False)
    return Pixels(keyword, vr, element, start, _end_of_fragments(path, file, start, size), fragments=True)


def _end_of_fragments(path: Path, file: BinaryIO, start: int, size: int) -> int:
    """Where the last fragment ends, before the delimiter of the sequence, which may be missing."""
    place = start
    while True:
        file.seek(place)
        head = file.read(8)
        if len(head) < 8 or head[:4] == _END:
            return place
        if head[:4] != _ITEM:
            raise UnreadableImageError(f"{path} is damaged: its compressed frames do not follow each other; export it again.")
        place = min(place + 8 + struct.unpack_from("<I", head, 4)[0], size)


def unread(file: BinaryIO, start: int, end: int, piece: int = 1 << 18) -> Iterator[bytes]:
    """The bytes of a file from ``start`` to ``end``, in pieces."""
    file.seek(start)
    while start < end and (part := file.read(min(piece, end - start))):
        start += len(part)
        yield part
