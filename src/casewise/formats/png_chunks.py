"""The checksums of a PNG's chunks, which Pillow does not test for the pixels themselves."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from casewise.errors import UnreadableImageError
from casewise.formats.guard import BoundedFile

_SIGNATURE = 8
_READ = 1 << 20
# Chunks that are not critical and yet change the pixels or how they lie.
_USED = (b"tRNS", b"eXIf")


def check_chunks(path: Path, file: BoundedFile) -> tuple[int, int, int, int]:
    """Width, height, bits a channel and colour type; an error sentence for a damaged or missing chunk. Rewinds ``file``."""
    file.seek(_SIGNATURE)
    header: tuple[int, int, int, int] | None = None
    while True:
        head = file.read(8)
        if len(head) < 8:
            raise UnreadableImageError(f"{path} is cut short: it ends before its last chunk.")
        length, kind = struct.unpack(">I4s", head)
        first, checked = _checked(file, kind, length)
        if not checked and (kind[:1].isupper() or kind in _USED):
            raise UnreadableImageError(f"{path} is cut short or damaged: its chunk {_name(kind)} does not pass its own check.")
        if header is None:
            if kind != b"IHDR" or length != 13:
                raise UnreadableImageError(f"{path} is damaged: it does not begin with its header.")
            header = struct.unpack(">IIBB", first[:10])
        if kind == b"IEND":
            file.seek(0)
            return header


def _checked(file: BoundedFile, kind: bytes, length: int) -> tuple[bytes, bool]:
    """A chunk's first bytes, and whether it is whole and its CRC is right."""
    crc, first, left = zlib.crc32(kind), b"", length
    while left:
        part = file.read(min(left, _READ))
        if not part:
            return first, False
        crc, first, left = zlib.crc32(part, crc), first or part, left - len(part)
    return first, file.read(4) == struct.pack(">I", crc)


def _name(kind: bytes) -> str:
    return kind.decode("ascii") if kind.isalpha() else repr(kind)
