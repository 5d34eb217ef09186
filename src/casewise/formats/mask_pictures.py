"""Masks in PNG, JPEG, TIFF and BMP pictures: which numbers of the file are the labels.

A grey picture's values are its labels. A palette's indices are, since its colours are there to be looked at. In a colour picture
each colour is a structure and black is none. Where all that can be seen has one colour, the mask is in the transparency.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.errors import CasewiseError, UnreadableImageError
from casewise.formats.found import Kind
from casewise.formats.mask_levels import levels
from casewise.formats.pictures import read_picture
from casewise.formats.tiff import read_tiff
from casewise.image import Array, Image

_MOST_COLOURS = 256
_EDGE = 0.95  # of a picture's edge, where it lies on background
_BLACK, _WHITE = 0x000000, 0xFFFFFF
_PLAIN = "save the mask as a grey PNG with a whole number for each structure and 0 for none"


@dataclass(frozen=True, eq=False)
class PictureLabels:
    """(row, column) numbers of a mask's picture, 0 where there is none, and the header of the picture.

    colours : whether the numbers are colours, 0xRRGGBB. lossy : whether compression has changed them.
    """

    numbers: npt.NDArray[Any]
    header: dict[str, object]
    colours: bool = False
    lossy: bool = False


def picture_labels(path: Path, kind: Kind, member: str | None) -> PictureLabels:
    """The labels in a picture's file. Raises UnreadableImageError, with what is ambiguous, where it does not say what they are."""
    image = read_tiff(path, member, as_stored=True) if kind is Kind.TIFF else read_picture(path, kind, member, as_stored=True)
    lossy = kind is Kind.JPEG or image.header.lossy
    header: dict[str, object] = {"format": kind.value, "spacing_known": False}
    try:
        numbers, colours = _numbers(image)
    except CasewiseError as error:
        raise UnreadableImageError(f"{path} {error}.") from error
    return PictureLabels(numbers, header, colours, lossy)


def doubt(numbers: npt.NDArray[Any], marked: npt.NDArray[np.bool_]) -> str | None:
    """What makes a picture's mask doubtful: it surrounds its own background, as an inverted mask does. None where nothing does.

    marked : (row, column) a structure's pixels.
    """
    if marked.mean() <= 0.5 or _edge(marked).mean() < _EDGE:
        return None
    what = "all of the picture" if marked.all() else "the edge of the picture and most of it"
    value = np.unique(numbers[marked])
    named = f"value {value[0]:g}" if value.size == 1 else "what is above 0"
    return (
        f"marks {what} by {named}, as an inverted mask would (or one in which nothing is drawn): it is not clear what is "
        "background; save it with 0 for the background"
    )


def _numbers(image: Image) -> tuple[Array, bool]:
    array = image.array
    if image.header.palette:
        return _of_palette(array[0], image.header.palette)
    if array.shape[0] == 4:
        return _of_transparent(array)
    if array.shape[0] == 3:
        return _of_colours(array)
    if array.shape[0] != 1:
        raise CasewiseError(f"has {array.shape[0]} channels; {_PLAIN}")
    return (_of_white_is_zero(array[0]) if image.header.white_is_zero else array[0]), False


def _of_white_is_zero(stored: npt.NDArray[Any]) -> Array:
    """The stored numbers or their inverse, whichever has its background along the picture's edge.

    ImageJ's inverting table stores a structure as 255 and shows it black; other programs store it as 0 and show it white.
    """
    if stored.dtype.kind != "u":
        return stored
    inverse = np.iinfo(stored.dtype).max - stored
    if not stored.any():
        return stored
    as_is, turned = (float((_edge(numbers) == 0).mean()) for numbers in (stored, inverse))
    if as_is >= _EDGE > turned:
        return stored
    if turned >= _EDGE > as_is and inverse.any():
        return inverse
    raise CasewiseError(f"is stored with white as 0, and it is not clear which of its values is the background; {_PLAIN}")


def _of_palette(indices: Array, palette: object) -> tuple[Array, bool]:
    """The indices, unless the palette says that another than the first is the background, or that they are shades of grey."""
    used = np.unique(indices)
    known = np.asarray(palette, dtype=np.int64).reshape(-1, 3)
    if used.size and int(used[-1]) >= len(known):
        raise CasewiseError(f"has indices beyond its palette of {len(known)} colours; {_PLAIN}")
    colours = known[used]
    grey = bool((colours == colours[:, :1]).all())
    if grey and np.unique(colours[:, 0]).size == used.size:
        shades = known[:, 0][indices].astype(np.uint8)
        rising = bool((np.diff(colours[:, 0]) > 0).all()) and (used[0] != 0 or colours[0, 0] == 0)
        if not rising or used[0] != 0 or _is_soft(shades):
            return shades, False
        return indices, False
    black = used[(colours == 0).all(axis=1)]
    first_is_ground = (colours[0] == 0).all() or (not black.size and (_edge(indices) == 0).mean() >= _EDGE)
    if used[0] == 0 and first_is_ground:
        return indices, False
    if used[0] != 0 and black.size == 1:
        return np.where(indices == black[0], 0, indices), False
    return _of_colours(np.moveaxis(known[indices].astype(np.uint8), -1, 0))


def _is_soft(shades: Array) -> bool:
    try:
        return levels(shades).above is not None
    except CasewiseError:
        return False


def _of_transparent(array: npt.NDArray[Any]) -> tuple[Array, bool]:
    """(row, column) of (red, green, blue, alpha): what is opaque, where all of it has one colour; else the colours."""
    top = np.iinfo(array.dtype).max if array.dtype.kind == "u" else 1
    colour, alpha = array[:3], array[3]
    seen = alpha > 0
    if alpha.min() == alpha.max():
        if not seen.any() and colour.any():
            raise CasewiseError(f"is transparent all over, but has colours below that; {_PLAIN}")
        return _of_colours(colour)
    visible = colour[:, seen]
    if (visible == visible[:, :1]).all():
        return alpha, False
    if not np.isin(alpha, (0, top)).all():
        raise CasewiseError(f"has colours that are partly transparent, so that it is not clear where structures end; {_PLAIN}")
    if (visible == 0).all(axis=0).any():
        raise CasewiseError(
            f"is transparent in one part and black in another, and it is not clear which is the background; {_PLAIN}"
        )
    return _of_colours(np.where(seen, colour, 0))


def _of_colours(array: npt.NDArray[Any]) -> tuple[Array, bool]:
    """(row, column): the shades of a picture of one hue, else a number for each colour."""
    lightest = array.max(axis=0)
    if all((channel == lightest).all() or not channel.any() for channel in array):
        return lightest, False
    if array.dtype == np.uint16 and not (array % 257).any():
        array = array // 257
    elif array.dtype != np.uint8:
        raise CasewiseError(f"is a colour picture of {array.dtype} values; {_PLAIN}")
    red, green, blue = (channel.astype(np.int32) for channel in array)
    codes = red << 16 | green << 8 | blue
    count = np.unique(codes).size
    if count > _MOST_COLOURS or not _has_areas(codes):
        msg = f"is a colour picture of {count} colours, not a mask in which each colour is a structure; {_PLAIN}"
        raise CasewiseError(msg)
    if (codes == _BLACK).any():
        return codes, True
    if (_edge(codes) == _WHITE).mean() >= _EDGE:
        return np.where(codes == _WHITE, 0, codes), True
    raise CasewiseError(f"is a colour picture without black, so that it is not clear which colour is the background; {_PLAIN}")


def _has_areas(codes: npt.NDArray[np.int32]) -> bool:
    """Whether all colours but a few lie in areas of that colour alone; colours that blend into each other do not."""
    square = (codes[:-1, :-1] == codes[1:, :-1]) & (codes[:-1, :-1] == codes[:-1, 1:]) & (codes[:-1, :-1] == codes[1:, 1:])
    colours = np.unique(codes)
    solid = np.unique(codes[:-1, :-1][square])
    return bool(colours.size - solid.size <= 0.1 * colours.size)


def _edge(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The pixels along the picture's edge."""
    return np.concatenate([array[0], array[-1], array[1:-1, 0], array[1:-1, -1]])
