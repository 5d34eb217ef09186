"""How the pixels of a PNG are packed, wherever one is written."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image


def packing(picture: Image) -> dict[str, Any]:
    """What ``picture.save`` is given besides.

    In grey pixels runs of one byte alone are looked for, in what Pillow's filters leave of them: films, segments and masks take a
    fifth to three quarters of the time of the usual level 6, and become smaller. Colours repeat after three bytes and more.
    """
    if len(picture.getbands()) == 1:
        return {"compress_level": 1, "compress_type": zlib.Z_RLE}
    return {"compress_level": 4}
