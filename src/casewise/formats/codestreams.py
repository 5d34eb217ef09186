"""What JPEG, JPEG-LS and JPEG 2000 streams say of their own size, read without decoding them."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

# Start-of-frame markers of JPEG and, last, of JPEG-LS. Between entropy-coded bytes none of them can occur.
_FRAME = re.compile(rb"\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf\xf7]")
_LARGER = re.compile(rb"\xff\xf8.{2}\x04", re.DOTALL)
_SCAN = b"\xff\xda"
_J2K = b"\xff\x4f\xff\x51"
_JP2 = b"\x00\x00\x00\x0cjP  "
_ALONE = {0x01, *range(0xD0, 0xD9)}


@dataclass(frozen=True)
class Stream:
    """Rows, columns and components that a stream states, and how often it passes over them (a progressive JPEG's scans)."""

    rows: int
    columns: int
    components: int
    scans: int = 1


def streams_in(data: bytes) -> list[Stream] | None:
    """Every size that one frame's stream states (a decoder may follow any of them); None for a stream of none of these kinds.

    An empty list: it begins like one of them and states no size.
    """
    if data.startswith(b"\xff\xd8"):
        return _jpeg(data)
    if data.startswith((_J2K, _JP2)):
        return _jpeg_2000(data)
    return None


def _jpeg(data: bytes) -> list[Stream]:
    found: list[Stream] = []
    end = _first_scan(data, found)
    scans = max(1, data.count(_SCAN, end))
    for match in _FRAME.finditer(data, end):
        if (stream := _frame_at(data, match.start())) is not None:
            found.append(stream)
    return [Stream(one.rows, one.columns, one.components, scans) for one in found]


def _first_scan(data: bytes, found: list[Stream]) -> int:
    """Where the first scan begins (or the segments are no more); notes the sizes before it."""
    place = 2
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            return place
        marker = data[place + 1]
        if marker == 0xFF:
            place += 1
            continue
        if marker in _ALONE:
            place += 2
            continue
        if _FRAME.match(data, place) and (stream := _frame_at(data, place)) is not None:
            found.append(stream)
        if _LARGER.match(data, place) and (stream := _larger_at(data, place, found)) is not None:
            found.append(stream)
        if marker == _SCAN[1]:
            return place
        place += 2 + max(2, struct.unpack_from(">H", data, place + 2)[0])
    return min(place, len(data))


def _frame_at(data: bytes, place: int) -> Stream | None:
    if place + 10 > len(data):
        return None
    rows, columns, components = struct.unpack_from(">HHB", data, place + 5)
    return Stream(rows, columns, components)


def _larger_at(data: bytes, place: int, found: list[Stream]) -> Stream | None:
    """The size beyond 65,535 that a JPEG-LS stream states in a segment of its own (LSE, type 4)."""
    width = data[place + 5] if place + 5 < len(data) else 0
    if not 1 <= width <= 4 or place + 6 + 2 * width > len(data):
        return None
    rows = int.from_bytes(data[place + 6 : place + 6 + width], "big")
    columns = int.from_bytes(data[place + 6 + width : place + 6 + 2 * width], "big")
    return Stream(rows, columns, found[0].components if found else 1)


def _jpeg_2000(data: bytes) -> list[Stream]:
    found: list[Stream] = []
    place = data.find(_J2K)
    while place >= 0 and place + 42 <= len(data):
        right, bottom, left, top = struct.unpack_from(">IIII", data, place + 8)
        (components,) = struct.unpack_from(">H", data, place + 40)
        found.append(Stream(bottom - top, right - left, components))
        # Only inside a file with boxes can a second stream follow.
        place = data.find(_J2K, place + 4) if data.startswith(_JP2) else -1
    return found
