"""The file meta information of a DICOM file (PS3.10): read within bounds and written again, without a look at the data set."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import BinaryIO

from casewise.errors import UnreadableImageError

SOP_CLASS, SOP_UID, SYNTAX = 0x00020002, 0x00020003, 0x00020010
IMPLEMENTATION, CALLING, CALLED, ADDRESS = 0x00020012, 0x00020016, 0x00020018, 0x00020026
_GROUP_LENGTH, _VERSION = 0x00020000, 0x00020001
_REPRESENTATIONS = {CALLING: b"AE", CALLED: b"AE", ADDRESS: b"UR"}  # of elements written here; all others are UIDs
_LONG = (b"OB", b"UN", b"SQ", b"OW", b"UT", b"OF", b"OD", b"OL", b"OV", b"UC", b"UR")
_MOST = 1 << 20
_MAGIC = b"DICM"
_IMPLEMENTATION = "1.2.826.0.1.3680043.8.498.1"  # pydicom's root, as in the objects that casewise writes


@dataclass(frozen=True)
class FileMeta:
    """preamble : the file's first 128 bytes. elements : of group 2 without its length: tag → (value representation, value)."""

    preamble: bytes
    elements: Mapping[int, tuple[bytes, bytes]]

    @classmethod
    def of(cls, sop_class: str, sop_uid: str, syntax: str) -> FileMeta:
        meta = cls(bytes(128), {_VERSION: (b"OB", b"\0\1")})
        return meta.having({SOP_CLASS: sop_class, SOP_UID: sop_uid, SYNTAX: syntax, IMPLEMENTATION: _IMPLEMENTATION})

    @classmethod
    def read(cls, file: BinaryIO) -> FileMeta:
        """``file`` stands at its begin, and then at its data set's. Raises UnreadableImageError, without a name of the file."""
        start = file.read(132)
        if start[128:] != _MAGIC:
            raise UnreadableImageError("What was sent is no DICOM file (PS3.10): the letters DICM do not stand at byte 128.")
        elements: dict[int, tuple[bytes, bytes]] = {}
        size = 0
        while True:
            head = file.read(8)
            if head[:2] != b"\x02\0" or len(head) < 8:
                file.seek(-len(head), 1)
                break
            tag = 0x00020000 | struct.unpack_from("<H", head, 2)[0]
            kind = head[4:6]
            length = int.from_bytes(file.read(4) if kind in _LONG else head[6:], "little")
            size += length
            value = file.read(length) if size <= _MOST else b""
            if len(value) < length:
                raise UnreadableImageError("What was sent is cut short, or its file meta information has more than a megabyte.")
            elements[tag] = kind, value
        elements.pop(_GROUP_LENGTH, None)
        return cls(start[:128], elements)

    def text(self, tag: int) -> str:
        """An element's value; empty where it is absent."""
        return self.elements.get(tag, (b"", b""))[1].decode("ascii", "replace").strip("\0 ")

    def having(self, texts: Mapping[int, str]) -> FileMeta:
        """With these elements, where their texts are not empty."""
        new = dict(self.elements)
        for tag, text in texts.items():
            if text:
                kind = _REPRESENTATIONS.get(tag, b"UI")
                value = text.encode("ascii", "replace")
                new[tag] = kind, value + (b"\0" if kind == b"UI" else b" ") * (len(value) % 2)
        return replace(self, elements=new)

    def encoded(self) -> bytes:
        """The preamble, DICM and group 2: a file up to its data set."""
        body = b"".join(_element(tag, *self.elements[tag]) for tag in sorted(self.elements))
        return self.preamble + _MAGIC + _element(_GROUP_LENGTH, b"UL", struct.pack("<I", len(body))) + body


def _element(tag: int, kind: bytes, value: bytes) -> bytes:
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + kind
    return head + (struct.pack("<HI", 0, len(value)) if kind in _LONG else struct.pack("<H", len(value))) + value
