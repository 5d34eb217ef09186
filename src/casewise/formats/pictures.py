"""PNG, JPEG and BMP pictures, by Pillow. Their axes are (row, column) and their spacing is unknown: the affine counts pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.errors import UnreadableImageError
from casewise.formats.codestreams import streams_in
from casewise.formats.found import Kind
from casewise.formats.guard import BoundedFile, check_claim, finished
from casewise.formats.png_chunks import check_chunks
from casewise.image import Array, Image

# A picture packed more tightly than this is a damaged header or a bomb: deflate reaches 1032 to 1, JPEG less.
PACKED = 1100.0
_ORIENTATION = 0x0112
_CHANNELS = {2: 3, 4: 2, 6: 4}  # by a PNG's colour type
_FEW_SCANS, _MOST_PASSES = 64, 1 << 30
_WIDE = {"I;16": np.uint16, "I;16L": np.uint16, "I;16B": np.uint16, "I": np.int32, "F": np.float32}


def read_picture(path: Path, kind: Kind, member: str | None, as_stored: bool = False) -> Image:
    """(1, row, column) for grey, also where an RGB picture's three channels are the same; (3, row, column) for colour.

    16-bit grey stays 16 bits. A camera's EXIF orientation is applied. Transparency is laid on black (``header.alpha``).
    as_stored : for masks. A palette's indices as they are, its colours in ``header.palette``; transparency as a fourth channel.
    """
    from PIL import ImageOps

    if member is not None:
        raise UnreadableImageError(f"{path} holds one picture; no member may be given, {member!r} was.")
    with BoundedFile(path) as file, _opened(path, file, kind) as picture:
        width, height = picture.size
        check_claim(path, (height, width, len(picture.getbands())), 1, file.size, PACKED)
        if kind is Kind.PNG and _is_deep_colour(path):
            return deep_colour(path, picture.getexif().get(_ORIENTATION, 1), as_stored)
        header: dict[str, object] = {"format": kind.value, "spacing_known": False}
        turned = ImageOps.exif_transpose(picture) if picture.getexif().get(_ORIENTATION, 1) != 1 else picture
        array = stored_array(turned, header) if as_stored else pillow_array(turned, header)
        if kind is Kind.PNG and array.dtype == np.int32:
            array = array.astype(np.uint16)
    return stored_image(path, array, header) if as_stored else picture_image(path, array, header)


def _opened(path: Path, file: BoundedFile, kind: Kind) -> Any:
    """Pillow's picture, its header read. Not by Pillow's own ``open``, whose limit on pixels is another than ours."""
    if kind is Kind.PNG:
        from PIL.PngImagePlugin import PngImageFile

        width, height, bits, colour = check_chunks(path, file)
        check_claim(path, (height, width, _CHANNELS.get(colour, 1)), bits / 8, file.size, PACKED)
        return PngImageFile(file, str(path))
    if kind is Kind.JPEG:
        from PIL.JpegImagePlugin import JpegImageFile

        _check_jpeg(path, file)
        return JpegImageFile(file, str(path))
    from PIL.BmpImagePlugin import BmpImageFile

    return BmpImageFile(file, str(path))


def _check_jpeg(path: Path, file: BoundedFile) -> None:
    """Refuse a JPEG that states two sizes, or passes over its pixels so often that it would take for ever."""
    found = streams_in(file.read(file.size)) or []
    file.seek(0)
    sizes = {(one.rows, one.columns) for one in found}
    if len(sizes) != 1:
        raise UnreadableImageError(f"{path} is damaged: it states {len(sizes) or 'no'} size{'s' * (len(sizes) != 1)}.")
    rows, columns = sizes.pop()
    check_claim(path, (rows, columns, found[0].components), 1, file.size, PACKED)
    if found[0].scans > _FEW_SCANS and found[0].scans * rows * columns > _MOST_PASSES:
        raise UnreadableImageError(
            f"{path} passes {found[0].scans:,} times over its pixels, which would take too long; save it anew."
        )


def pillow_array(picture: object, header: dict[str, object]) -> Array:
    """(row, column) or (row, column, 3) of a Pillow picture of any mode; says in ``header`` what became of transparency."""
    from PIL import Image as Pillow

    if not isinstance(picture, Pillow.Image):
        raise TypeError(type(picture).__name__)
    mode = picture.mode
    if mode in _WIDE:
        return np.asarray(picture).astype(_WIDE[mode], copy=False)
    if mode in ("L", "RGB") and "transparency" not in picture.info:
        return np.asarray(picture)
    if mode == "1":
        return np.asarray(picture.convert("L"))
    if mode in ("LA", "PA", "RGBA", "RGBa", "La") or "transparency" in picture.info:
        return without_alpha(np.asarray(picture.convert("RGBA")), header)
    return np.asarray(picture.convert("RGB"))


def stored_array(picture: Any, header: dict[str, object]) -> Array:
    """(row, column), (row, column, 3) or (row, column, 4) of a Pillow picture with its palette and transparency apart."""
    transparent = picture.info.get("transparency")
    first_alone = transparent == 0 or (isinstance(transparent, bytes) and transparent.rstrip(b"\xff") == b"\0")
    if picture.mode == "P" and (transparent is None or first_alone):
        header["palette"] = tuple(zip(*[iter(picture.getpalette("RGB"))] * 3, strict=False))
        return np.asarray(picture)
    if picture.mode in ("LA", "PA", "RGBA", "RGBa", "La") or transparent is not None:
        return np.asarray(picture.convert("RGBA"))
    return pillow_array(picture, header)


def stored_image(path: Path, array: Array, header: dict[str, object]) -> Image:
    """The image of a (row, column[, channel]) array as it is stored."""
    channels_first = array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
    return finished(path, channels_first, np.eye(4), header)


def upright(array: npt.NDArray[Any], orientation: object) -> npt.NDArray[Any]:
    """(row, column[, channel]) turned as the orientation tag of EXIF and TIFF says (1 to 8); any other value turns nothing."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    rows = slice(None, None, -1) if orientation in (3, 4, 7, 8) else slice(None)
    columns = slice(None, None, -1) if orientation in (2, 3, 6, 7) else slice(None)
    return np.ascontiguousarray(array[rows, columns])


def without_alpha(rgba: npt.NDArray[Any], header: dict[str, object]) -> Array:
    """(row, column, 3) from (row, column, 4), laid on black where it is not opaque."""
    top = np.iinfo(rgba.dtype).max
    alpha = rgba[..., 3:]
    if (alpha == top).all():
        return rgba[..., :3]
    header["alpha"] = "laid on black"
    return np.rint(rgba[..., :3] * (alpha / top)).astype(rgba.dtype)


def picture_image(path: Path, array: Array, header: dict[str, object]) -> Image:
    """The image of a (row, column) or (row, column, 3) array; three equal channels become one."""
    if array.ndim == 3 and (array[..., 0] == array[..., 1]).all() and (array[..., 0] == array[..., 2]).all():
        array = array[..., 0]
    channels_first = array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
    header["photometric"] = "MONOCHROME2" if array.ndim == 2 else "RGB"
    return finished(path, channels_first, np.eye(4), header)


def _is_deep_colour(path: Path) -> bool:
    """Whether a PNG has 16 bits a channel and more than one channel (Pillow would keep 8 of the bits)."""
    with path.open("rb") as file:
        head = file.read(26)
    return len(head) == 26 and head[24] == 16 and head[25] != 0


def deep_colour(path: Path, orientation: int = 1, as_stored: bool = False) -> Image:
    """A PNG with 16 bits a channel and 2 to 4 channels, by ITK, upright. ``as_stored``: as of ``read_picture``."""
    from casewise.formats.itk import picture_array

    header: dict[str, object] = {"format": Kind.PNG.value, "spacing_known": False}
    array = upright(picture_array(path), orientation)
    if array.ndim == 3 and array.shape[-1] == 2:
        array = np.concatenate([array[..., :1]] * 3 + [array[..., 1:]], axis=-1)
    if as_stored:
        return stored_image(path, array, header)
    if array.ndim == 3 and array.shape[-1] == 4:
        array = without_alpha(array, header)
    return picture_image(path, array, header)
