"""A TIFF's pages, followed by its directories alone: a chain that runs in a circle or has no end is refused."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from casewise.errors import UnreadableImageError
from casewise.formats.guard import BoundedFile

MOST_PAGES = 1 << 16
_MOST_TAGS = 4096
_SUBFILE, _OLD_SUBFILE = 254, 255
_REDUCED, _OLD_REDUCED = 1, 2


def full_pages(path: Path) -> list[int]:
    """Which pages of the chain are pictures of their own, not smaller copies of others (a pyramid's levels, thumbnails)."""
    with BoundedFile(path) as file:
        head = file.read(16)
        order = "<" if head[:2] == b"II" else ">"
        big = head[2:4] in (b"+\0", b"\0+")
        entry = np.dtype(
            [
                ("tag", f"{order}u2"),
                ("type", f"{order}u2"),
                ("count", f"{order}u{8 if big else 4}"),
                ("value", f"V{8 if big else 4}"),
            ]
        )
        counts, offsets = (f"{order}Q", f"{order}Q") if big else (f"{order}H", f"{order}I")
        try:
            (offset,) = struct.unpack_from(offsets, head, 8 if big else 4)
            pages: list[int] = []
            seen: set[int] = set()
            while offset:
                if offset in seen:
                    raise UnreadableImageError(f"{path} is damaged: its pages follow each other in a circle.")
                if len(seen) >= MOST_PAGES:
                    raise UnreadableImageError(f"{path} has more than {MOST_PAGES:,} pages, which is not read; split it.")
                file.seek(offset)
                (tags,) = struct.unpack(counts, file.read(struct.calcsize(counts)))
                if not 0 < tags <= _MOST_TAGS:
                    raise UnreadableImageError(f"{path} is damaged: its page {len(seen)} has {tags:,} tags.")
                entries = np.frombuffer(file.read(tags * entry.itemsize), entry)
                if not _is_reduced(entries, order):
                    pages.append(len(seen))
                seen.add(offset)
                (offset,) = struct.unpack(offsets, file.read(struct.calcsize(offsets)))
        except (struct.error, ValueError) as error:
            raise UnreadableImageError(f"{path} is cut short or damaged: its pages cannot be followed to the last.") from error
    return pages


def _is_reduced(entries: np.ndarray, order: str) -> bool:
    for tag, kind in ((_SUBFILE, _REDUCED), (_OLD_SUBFILE, _OLD_REDUCED)):
        for one in entries[entries["tag"] == tag]:
            width = 2 if int(one["type"]) == 3 else 4
            value = struct.unpack(f"{order}{'H' if width == 2 else 'I'}", one["value"].tobytes()[:width])[0]
            return bool(value & 1) if tag == _SUBFILE else value == kind
    return False
