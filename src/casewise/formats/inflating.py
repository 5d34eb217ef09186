"""Compressed voxels unpacked as far as they are needed, and the checks that their format carries: no rubbish, no bomb."""

from __future__ import annotations

import bz2
import zlib
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from casewise.errors import UnreadableImageError
from casewise.formats.limits import size_text

_INPUT = 1 << 18
_CHUNK = 16 << 20
# What may follow the voxels inside a gzip stream before it is taken for a bomb.
_SURPLUS = 64 << 20


class Packing(StrEnum):
    """How voxels are packed: not at all, gzip (several members in a row are one stream), zlib, bzip2."""

    RAW = "raw"
    GZIP = "gzip"
    ZLIB = "zlib"
    BZIP2 = "bzip2"


_MAGIC = {Packing.GZIP: b"\x1f\x8b", Packing.BZIP2: b"BZh"}
_BITS = {Packing.GZIP: 31, Packing.ZLIB: 47}  # 47: a zlib or a gzip header, as MetaIO takes both


class Inflated:
    """The unpacked content of ``file`` from where it stands; ``path`` names it in messages.

    Every checksum and length that the stream carries is tested on the way (gzip: CRC-32 and length, zlib: Adler-32, bzip2: CRC-32).
    """

    def __init__(self, path: Path, file: BinaryIO, packing: Packing) -> None:
        self._path = path
        self._file = file
        self._packing = packing
        self._input = b""
        self._stream = self._new()
        self._ended = False

    def read(self, size: int) -> bytes:
        """``size`` bytes, fewer at the end."""
        parts, missing = [], size
        while missing > 0 and (part := self._some(min(missing, _CHUNK))):
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def exactly(self, size: int) -> bytearray:
        """``size`` bytes, or an error sentence that says that there are fewer."""
        buffer = bytearray()
        while len(buffer) < size:
            part = self._some(min(_CHUNK, size - len(buffer)))
            if not part:
                msg = f"{self._path} is cut short: {len(buffer):,} of {size:,} bytes of voxels are there."
                raise UnreadableImageError(msg)
            buffer += part
        return buffer

    def skip(self, size: int) -> None:
        """Pass over ``size`` bytes."""
        while size > 0:
            part = self._some(min(_CHUNK, size))
            if not part:
                raise UnreadableImageError(f"{self._path} is cut short: it ends before its voxels.")
            size -= len(part)

    def check_end(self) -> None:
        """Nothing but what was read may be there: no byte more inside the stream, nothing but zeros or blanks behind it."""
        if self._some(1):
            raise UnreadableImageError(
                f"{self._path} unpacks to more voxels than its header describes: it or its header is damaged."
            )
        self._check_behind()

    def check_member(self) -> None:
        """Run to the end of the gzip member that was read from, where its checksum stands; a bounded surplus is allowed.

        What follows that member is not looked at: the voxels are whole by their own checksum, and other readers pass over it too.
        """
        surplus = 0
        while not self._stream.eof:
            surplus += len(self._some(_CHUNK))
            if surplus > _SURPLUS:
                msg = f"{self._path} goes on for more than {size_text(_SURPLUS)} behind its voxels: it or its header is damaged."
                raise UnreadableImageError(msg)

    def _new(self) -> zlib._Decompress | bz2.BZ2Decompressor:
        return bz2.BZ2Decompressor() if self._packing is Packing.BZIP2 else zlib.decompressobj(_BITS[self._packing])

    def _some(self, most: int) -> bytes:
        """From 1 to ``most`` bytes; none at the end."""
        while not self._ended:
            if self._stream.eof:
                if not self._next_member():
                    self._ended = True
                    break
                self._stream = self._new()
            try:
                part = self._step(most)
            except (zlib.error, OSError, EOFError) as error:
                reason = str(error).partition(": ")[2] or str(error)
                msg = f"{self._path} is damaged: its compressed voxels do not pass their own check ({reason or 'invalid data'})."
                raise UnreadableImageError(msg) from error
            if part:
                return part
        return b""

    def _step(self, most: int) -> bytes:
        stream = self._stream
        if isinstance(stream, bz2.BZ2Decompressor):
            fed = self._fed() if stream.needs_input else b""
            part = stream.decompress(fed, most)
            stuck = not part and not fed and stream.needs_input
        else:
            fed = self._fed()
            part = stream.decompress(fed, most)
            self._input = stream.unconsumed_tail
            stuck = not part and not fed
        if stream.eof:
            self._input = stream.unused_data + self._input
        elif stuck:
            raise UnreadableImageError(f"{self._path} is cut short: its compressed voxels end before they are whole.")
        return part

    def _fed(self) -> bytes:
        fed, self._input = self._input or self._file.read(_INPUT), b""
        return fed

    def _next_member(self) -> bool:
        """Whether another member of the same packing follows the one that has ended."""
        magic = _MAGIC.get(self._packing)
        if magic is None:
            return False
        if len(self._input) < len(magic):
            self._input += self._file.read(_INPUT)
        return self._input.startswith(magic)

    def _check_behind(self) -> None:
        behind = self._input or self._file.read(_INPUT)
        if behind.strip(b"\0\r\n\t "):
            raise UnreadableImageError(f"{self._path} is damaged: bytes of no known use follow its compressed voxels.")
