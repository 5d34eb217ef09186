"""The ceiling on the size of one image, in memory: a setting, so that a header's word alone never takes a machine's memory."""

from __future__ import annotations

import os
import re

from casewise.errors import CasewiseError

SETTING = "CASEWISE_MAX_IMAGE_BYTES"
DEFAULT = 4 << 30
_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}


def max_image_bytes() -> int:
    """The most bytes that the voxels of one image may take: 4 GiB, or what the environment variable of this name says.

    It is a whole number of bytes, or one with K, M, G or T behind it (KiB, MiB, GiB, TiB). Raises CasewiseError for anything else.
    """
    return bytes_in(SETTING, DEFAULT)


def bytes_in(setting: str, default: int) -> int:
    """The number of bytes that an environment variable says, or the default where it is not set. Raises CasewiseError."""
    given = os.environ.get(setting, "").strip()
    if not given:
        return default
    match = re.fullmatch(r"(\d{1,15}) ?([kmgt]?)(?:i?b)?", given.lower())
    if match is None or int(match[1]) == 0:
        msg = f"{setting} is {given[:40]!r}; expected a whole number of bytes above 0, or one such as 512M or 8G."
        raise CasewiseError(msg)
    return int(match[1]) << _UNITS[match[2]]


def size_text(count: float) -> str:
    """A number of bytes in the unit that a person would use."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB".replace(".0 ", " ")
