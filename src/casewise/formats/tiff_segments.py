"""The strips and tiles of a TIFF page: whether they are all there, and whether deflated ones unpack to what they should."""

from __future__ import annotations

import math
import zlib
from pathlib import Path
from typing import Any

from casewise.errors import UnreadableImageError
from casewise.formats.guard import BoundedFile

_DEFLATE = (8, 32946)
_SLACK = 64 << 20


def check_segments(path: Path, file: BoundedFile, page: Any) -> None:
    """Refuse a page some of whose pixels are not in the file, or whose deflated parts fail Adler-32 or are of another length."""
    expected = math.prod(page.chunked)
    offsets, lengths = list(page.dataoffsets), list(page.databytecounts)
    if len(offsets) < expected or len(lengths) < expected:
        raise UnreadableImageError(f"{path} is damaged: {len(offsets):,} of the {expected:,} parts of its pixels are there.")
    rows, width, full = _segment(page)
    if full > 2 * math.prod(page.shape) * page.bitspersample / 8 + _SLACK:
        raise UnreadableImageError(f"{path} is damaged: its pixels lie in parts of {rows:,}×{width:,}, far more than it has.")
    down = math.ceil(page.imagelength / rows)
    across = 1 if not page.is_tiled else math.ceil(page.imagewidth / width)
    for number, (offset, length) in enumerate(zip(offsets[:expected], lengths[:expected], strict=True)):
        if not offset or not length or offset + length > file.size:
            raise UnreadableImageError(f"{path} is cut short or damaged: a part of its pixels is not in the file.")
        if page.compression in _DEFLATE:
            strip = number // across % down
            least = full if page.is_tiled else full // rows * min(rows, page.imagelength - strip * rows)
            file.seek(offset)
            _check_deflated(path, file.read(length), least, full)


def _segment(page: Any) -> tuple[int, int, int]:
    """Rows and columns of a strip or tile, and its bytes."""
    rows = page.tilelength if page.is_tiled else min(page.rowsperstrip, page.imagelength)
    width = page.tilewidth if page.is_tiled else page.imagewidth
    samples = page.samplesperpixel if page.planarconfig == 1 else 1
    return rows, width, rows * math.ceil(width * samples * page.bitspersample / 8)


def _check_deflated(path: Path, packed: bytes, least: int, most: int) -> None:
    unpacker = zlib.decompressobj()
    try:
        size = len(unpacker.decompress(packed, most + 1))
        if size <= most and not unpacker.eof:
            size += len(unpacker.decompress(unpacker.unconsumed_tail, 1))
    except zlib.error as error:
        raise UnreadableImageError(f"{path} is damaged: its compressed pixels do not pass their own check.") from error
    if size > most or size < least or not unpacker.eof:
        msg = f"{path} is damaged: a part of its pixels unpacks to another length than its header describes."
        raise UnreadableImageError(msg)
