"""From intensities to pixels for display, and masks drawn over them at the image's own resolution."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from casewise.errors import CasewiseError
from casewise.image import Array, Image
from casewise.intensity import percentile_range
from casewise.png import packing

Pixels = npt.NDArray[np.uint8]

# Okabe and Ito's palette for colour-blind readers, in the order that stands out best on grey images: sky blue, orange, yellow,
# reddish purple, bluish green, vermilion.
COLOURS = ("#56B4E9", "#E69F00", "#F0E442", "#CC79A7", "#009E73", "#D55E00")
_WINDOWED = ("CT", "MR", "CR", "DX", "MG", "PX")
_MID_GREY = 128
_SAMPLES = 2_000_000


def display_range(image: Image) -> tuple[float, float]:
    """(low, high): the intensities displayed as black and as white.

    The header's ``window`` (centre, width) where the modality is one whose windows mean something and the window holds part of the
    image's values; else the 0.5 and 99.5 percentiles of the finite values (of two million at most, evenly spread); all values where
    those two agree. 8-bit colour is displayed as it is.
    """
    if image.channels == 3 and image.array.dtype == np.uint8:
        return 0.0, 255.0
    values = _sample(image.array)
    window = image.header.window
    meaningful = (image.header.modality or "").upper() in _WINDOWED
    if meaningful and values.size and window is not None:
        centre, width = window
        low, high = centre - width / 2, centre + width / 2
        if width > 0 and low < values.max() and high > values.min():
            return low, high
    low, high = percentile_range(values.astype(np.float64)) if values.size else (0.0, 0.0)
    return (low, high) if high > low else _extremes(image.array)


def to_pixels(values: Array, low: float, high: float) -> Pixels:
    """uint8 of the same shape: ``low`` and below black, ``high`` and above white; mid grey where the two agree; NaN is black."""
    if not high > low:
        return np.full(values.shape, _MID_GREY, np.uint8)
    scaled = np.nan_to_num((values.astype(np.float32) - low) * (255.0 / (high - low)), nan=0.0, posinf=255.0, neginf=0.0)
    return np.asarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))


def channels_last(image: Image) -> Array:
    """(*spatial, 3) of a colour image, (*spatial) of any other (its first channel): a view, not a copy."""
    return np.moveaxis(image.array, 0, -1) if image.channels == 3 else image.array[0]


def window(image: Image) -> Pixels:
    """uint8 (*spatial), or (*spatial, 3) of a colour image: the whole image in its display window, on its own grid."""
    return to_pixels(channels_last(image), *display_range(image))


def colours(names: Sequence[str]) -> dict[str, str]:
    """A colour (#RRGGBB) for each name, in order, distinguishable to colour-blind readers up to six; then they repeat."""
    return {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}


def overlay(
    picture: Pixels,
    masks: Mapping[str, Array],
    opacity: float = 0.25,
    contour: int = 1,
    palette: Mapping[str, str] | None = None,
) -> Pixels:
    """(rows, columns, 3): each mask (rows, columns) as a see-through fill and a contour inside its border, ``contour`` pixels wide.

    ``picture``: uint8, (rows, columns) or (rows, columns, 3). ``palette``: mask name → #RRGGBB; by the masks'
    order without it, see :func:`colours`. Raises CasewiseError for a mask of another grid.
    """
    drawn = np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture.copy()
    for name, colour in (palette or colours(list(masks))).items():
        if name not in masks:
            continue
        mask = np.asarray(masks[name], dtype=bool)
        check_grid(name, mask, drawn.shape[:2])
        if not mask.any():
            continue
        red_green_blue = np.array(rgb(colour), np.float32)
        drawn[mask] = np.rint(drawn[mask] * (1 - opacity) + red_green_blue * opacity).astype(np.uint8)
        drawn[inner_border(mask, contour)] = red_green_blue.astype(np.uint8)
    return drawn


def inner_border(mask: npt.NDArray[np.bool_], width: int = 1) -> npt.NDArray[np.bool_]:
    """The mask's own pixels within ``width`` of its outside; the picture's edge counts as outside."""
    from scipy.ndimage import binary_erosion

    return np.asarray(mask & ~binary_erosion(mask, iterations=width))


def check_grid(name: str, mask: Array, shape: tuple[int, ...]) -> None:
    """Raises CasewiseError where a mask does not lie on the image's grid."""
    if mask.shape != shape:
        msg = f"The mask {name!r} has the grid {mask.shape}, the image {shape}; bring it onto the image's grid first."
        raise CasewiseError(msg)


def rgb(colour: str) -> tuple[int, int, int]:
    """#RRGGBB as three numbers from 0 to 255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def data_uri(picture: Pixels, limit: int) -> tuple[str, bool]:
    """(``data:`` URI, lossless): a PNG, or a JPEG of the best quality that stays under ``limit`` bytes where the PNG does not.

    ``picture``: uint8 (rows, columns) or (rows, columns, 3). Its size in pixels is kept.
    """
    pillow = Pillow.fromarray(np.ascontiguousarray(picture))
    encoded, kind = _encoded(pillow, "PNG"), "png"
    if len(encoded) > limit:
        kind = "jpeg"
        for quality in (95, 90, 80, 65, 45, 25):
            encoded = _encoded(pillow, "JPEG", quality)
            if len(encoded) <= limit:
                break
    return f"data:image/{kind};base64,{base64.b64encode(encoded).decode()}", kind == "png"


def png_uri(picture: Pixels) -> str:
    """``data:`` URI of a PNG, whatever its size: for pixels of which none may change."""
    return f"data:image/png;base64,{base64.b64encode(_encoded(Pillow.fromarray(np.ascontiguousarray(picture)), 'PNG')).decode()}"


def thumbnail(
    picture: Pixels, masks: Mapping[str, Array], spacing: tuple[float, float], side: int, palette: Mapping[str, str] | None = None
) -> Pixels:
    """(rows, columns, 3), at most ``side`` × ``side``, in true proportions; masks are drawn after scaling: crisp contours."""
    rows, columns = picture.shape[:2]
    height, width = rows * spacing[0], columns * spacing[1]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    scaled = Pillow.fromarray(np.ascontiguousarray(picture)).resize(size, Pillow.Resampling.LANCZOS)
    fitted = {}
    for name, mask in masks.items():
        check_grid(name, mask, (rows, columns))
        grey = Pillow.fromarray(np.ascontiguousarray(mask, dtype=bool).astype(np.uint8) * 255)
        fitted[name] = np.asarray(grey.resize(size, Pillow.Resampling.BILINEAR)) >= _MID_GREY
    return overlay(np.asarray(scaled), fitted, opacity=0.2, contour=1 if side < 400 else 2, palette=palette)


def _sample(array: Array) -> Array:
    # An odd step, so that it does not stay on a few columns of a picture whose sides are powers of two.
    flat = array.reshape(-1)[:: array.size // _SAMPLES | 1]
    return flat[np.isfinite(flat)]


def _extremes(array: Array) -> tuple[float, float]:
    finite = array[np.isfinite(array)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def _encoded(pillow: Pillow.Image, kind: str, quality: int = 95) -> bytes:
    buffer = io.BytesIO()
    pillow.save(buffer, kind, quality=quality, **packing(pillow))
    return buffer.getvalue()
