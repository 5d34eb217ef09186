"""TIFF pictures by tifffile, and by Pillow where tifffile lacks the codec: axes (row, column), spacing unknown."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from casewise.errors import UnreadableImageError
from casewise.formats.found import Kind
from casewise.formats.guard import MOST_IMAGES, BoundedFile, check_claim, numbered, one_of_several
from casewise.formats.pictures import PACKED, picture_image, pillow_array, stored_array, stored_image, upright, without_alpha
from casewise.formats.tiff_directories import full_pages
from casewise.formats.tiff_segments import check_segments
from casewise.image import Array, Image

_MINISWHITE, _MINISBLACK, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
_NO_COMPRESSION = 1
_ORIENTATION = 274
_LOSSY = (6, 7, 33003, 33005, 34712, 34887, 34892, 34933, 50001, 50002)  # JPEG and its successors, LERC, WebP, JPEG XL
# Not compressed, deflate and PackBits: these cannot unpack to more than was checked. The others are libtiff's, by Pillow.
_BY_TIFFFILE = (1, 8, 32946, 32773)


def read_tiff(path: Path, member: str | None, as_stored: bool = False) -> Image:
    """(1, row, column) or (3, row, column), 8 to 64 bits, integer or float, turned as the tag Orientation says.

    Of several pages one is named: ``member="page=n"``.

    as_stored : for masks. A palette's indices and a WhiteIsZero page's numbers as they are (``header.palette``,
    ``header.white_is_zero``), transparency as a fourth channel; ``header.lossy`` says whether compression changes values.
    """
    import tifffile

    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    pages = full_pages(path)
    count = len(pages)
    with BoundedFile(path) as file, tifffile.TiffFile(file, name=path.name) as tiff:
        if count == 0:
            raise UnreadableImageError(f"{path} holds no page.")
        if tiff.is_imagej and count == 1 and int((tiff.imagej_metadata or {}).get("images", 1)) > 1:
            raise UnreadableImageError(f"{path} is an ImageJ stack without a page for each slice; save it as NIfTI or NRRD.")
        number = numbered(path, member, "page", count)
        if number is None and count > 1:
            members = f'member="page=0" to member="page={count - 1}"'
            raise one_of_several(path, f"{count} pages", members, imported=count <= MOST_IMAGES)
        page: Any = tiff.pages[pages[number or 0]]
        header: dict[str, object] = {"format": Kind.TIFF.value, "spacing_known": False}
        array = _page(path, file, page, pages[number or 0], header, as_stored)
    return stored_image(path, array, header) if as_stored else picture_image(path, array, header)


def _page(path: Path, file: BoundedFile, page: Any, number: int, header: dict[str, object], as_stored: bool) -> Array:
    if page.dtype is None or page.axes not in ("YX", "YXS", "SYX"):
        axes = page.axes or "none"
        raise UnreadableImageError(f"{path} has a page of axes {axes}; a picture's rows, columns and channels are read.")
    packed = 1.0 if page.compression == _NO_COMPRESSION else PACKED
    stored = min(sum(int(n) for n in page.databytecounts), file.size)
    check_claim(path, page.shape, page.bitspersample / 8, stored, packed)
    check_segments(path, file, page)
    if page.compression not in _BY_TIFFFILE or page.photometric == _YCBCR:
        return _by_pillow(path, file, page, number, header, as_stored)
    try:
        array = page.asarray()
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        return _by_pillow(path, file, page, number, header, as_stored)
    if page.axes == "SYX":
        array = np.moveaxis(array, 0, -1)
    array = _stored(path, page, array, header) if as_stored else _colours(path, page, array, header)
    return upright(array, page.tags.valueof(_ORIENTATION, 1))


def _colours(path: Path, page: Any, array: Array, header: dict[str, object]) -> Array:
    if array.dtype == bool:
        array = array.astype(np.uint8) * np.uint8(255)
    if page.photometric == _PALETTE and array.ndim == 2 and page.colormap is not None:
        colours = np.asarray(page.colormap).T
        return np.asarray((colours >> 8).astype(np.uint8)[array])
    if page.photometric == _MINISWHITE and array.dtype.kind == "u":
        header["inverted"] = True
        array = (1 << page.bitspersample) - 1 - array.astype(np.uint64)
        array = array.astype(np.uint8 if page.bitspersample <= 8 else np.uint16 if page.bitspersample <= 16 else np.uint32)
    if array.ndim == 2:
        return array
    channels = array.shape[-1]
    if channels in (2, 4) and array.dtype.kind == "u":
        colour = array if channels == 4 else np.concatenate([array[..., :1]] * 3 + [array[..., 1:]], axis=-1)
        return without_alpha(colour, header)
    if channels in (1, 3):
        return array[..., 0] if channels == 1 else array
    raise UnreadableImageError(f"{path} has {channels} channels; grey, RGB or RGB with transparency is read.")


def _stored(path: Path, page: Any, array: Array, header: dict[str, object]) -> Array:
    if array.dtype == bool:
        array = array.astype(np.uint8) * np.uint8(255)
    header["lossy"] = page.compression in _LOSSY
    if page.photometric == _PALETTE and array.ndim == 2 and page.colormap is not None:
        header["palette"] = tuple((int(r) >> 8, int(g) >> 8, int(b) >> 8) for r, g, b in np.asarray(page.colormap).T)
        return array
    header["white_is_zero"] = page.photometric == _MINISWHITE
    if array.ndim == 3 and page.photometric not in (_MINISWHITE, _MINISBLACK, _RGB):
        raise UnreadableImageError(f"{path} has colours of a kind (CMYK, Lab) that no mask has; save it as a grey picture.")
    if array.ndim == 3 and array.shape[-1] == 2:
        return np.concatenate([array[..., :1]] * 3 + [array[..., 1:]], axis=-1)
    return array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array


def _by_pillow(path: Path, file: BoundedFile, page: Any, number: int, header: dict[str, object], as_stored: bool) -> Array:
    from PIL import ImageOps
    from PIL.TiffImagePlugin import TiffImageFile

    file.seek(0)
    # Not by Pillow's own `open`, whose limit on pixels is another than ours, which was tested above.
    with TiffImageFile(file, str(path)) as picture:
        picture.seek(number)
        picture.load()
        # Pillow turns most TIFF pictures while it loads them, and then takes the tag away.
        turned = ImageOps.exif_transpose(picture) if picture.getexif().get(_ORIENTATION, 1) != 1 else picture
        if not as_stored:
            return pillow_array(turned, header)
        array = stored_array(turned, header)
    header["lossy"] = page.compression in _LOSSY
    header["white_is_zero"] = page.photometric == _MINISWHITE
    # Pillow gives what is displayed.
    return 255 - array if page.photometric == _MINISWHITE and array.dtype == np.uint8 else array
