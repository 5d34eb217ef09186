"""A DICOM file as it is sent: as stored, without names, or with its pixels decoded; in pieces, its pixels never whole in memory
where they stay as they are.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Iterator
from typing import Any

from casewise.errors import UnreadableImageError
from casewise.formats.dicom.elements import whole
from casewise.formats.dicom.frames import count_of_frames, native_frame
from casewise.formats.dicom.pixels import photometric_of
from casewise.formats.dicom.stored import DEFLATED, EXPLICIT, Stored, unread
from casewise.formats.guard import one_sentence

_PREAMBLE = b"\0" * 128 + b"DICM"


def as_stored(stored: Stored) -> Iterator[bytes]:
    """The file's own bytes. A deflated one is sent unfolded, as Explicit VR Little Endian."""
    stored.file.seek(0, io.SEEK_END)
    end = stored.file.tell()
    stored.file.seek(128)
    if stored.file.read(4) == b"DICM":
        yield from unread(stored.file, 0, end)
    else:
        yield from rewritten(stored)


def rewritten(stored: Stored, change: Callable[[Any, Any], None] | None = None) -> Iterator[bytes]:
    """The file with its header written anew; its pixels are copied, and what follows them (padding, signatures) is left out.

    change : is given the header and the meta information (pydicom data sets), to change them.
    """
    yield _head(stored, stored.header, change)
    pixels = stored.pixels
    if pixels is not None:
        yield from unread(stored.file, pixels.element, pixels.end)
        if pixels.fragments:
            yield b"\xfe\xff\xdd\xe0\0\0\0\0"


def decoded(stored: Stored, change: Callable[[Any, Any], None] | None = None) -> Iterator[bytes]:
    """The file as Explicit VR Little Endian, its compressed frames decoded one at a time.

    Raises UnreadableImageError for what cannot be decoded, before the first piece.
    """
    count = count_of_frames(stored)
    if stored.pixels is None or not stored.pixels.fragments:
        raise UnreadableImageError(f"{stored.path} has no compressed pixels.")
    first = native_frame(stored, 0)
    header = copy.deepcopy(stored.header)  # the frames are decoded by the other one
    if str(photometric_of(stored.path, header)).startswith("YBR"):
        header.PhotometricInterpretation = "RGB"
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in header:
            delattr(header, keyword)
    length = len(first) * count
    if length >= (1 << 32) - 2:
        raise UnreadableImageError(f"{stored.path} is larger than 4 GiB when it is decoded; ask for it as it is stored.")
    header.file_meta.TransferSyntaxUID = EXPLICIT
    yield _head(stored, header, change, explicit=True)
    word = b"OB" if (whole(header, "BitsAllocated") or 8) <= 8 else b"OW"
    yield b"\xe0\x7f\x10\x00" + word + b"\0\0" + (length + length % 2).to_bytes(4, "little") + first
    for number in range(1, count):
        yield native_frame(stored, number)
    if length % 2:
        yield b"\0"


def syntax_sent(stored: Stored) -> str:
    """The transfer syntax in which :func:`as_stored` and :func:`rewritten` send a file."""
    return EXPLICIT if stored.syntax == DEFLATED else stored.syntax


def _head(stored: Stored, header: Any, change: Callable[[Any, Any], None] | None, explicit: bool = False) -> bytes:
    """Preamble, meta information and header, encoded as the pixels that follow are."""
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset, write_file_meta_info

    meta = header.file_meta
    with one_sentence(stored.path, "a DICOM file", quote=False):
        if change is not None:
            change(header, meta)
        for keyword, of_header in (("MediaStorageSOPClassUID", "SOPClassUID"), ("MediaStorageSOPInstanceUID", "SOPInstanceUID")):
            setattr(meta, keyword, header.get(of_header) or meta.get(keyword))
        buffer = DicomBytesIO()
        buffer.write(_PREAMBLE)
        buffer.is_little_endian, buffer.is_implicit_VR = True, False
        write_file_meta_info(buffer, meta, enforce_standard=True)
        body = DicomBytesIO()
        implicit, little = header.original_encoding
        body.is_implicit_VR, body.is_little_endian = bool(implicit) and not explicit, bool(little)
        write_dataset(body, header)
    return bytes(buffer.getvalue() + body.getvalue())
