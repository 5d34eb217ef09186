"""Thumbnails: the middle of an image as it is displayed, made once and kept in the archive's folder."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from casewise.files import replacing
from casewise.image import Array, Image
from casewise.server.geometry import planes, window
from casewise.server.images import ImageCache
from casewise.server.schemas.cases import Plane
from casewise.server.voxels import chosen

Mask = npt.NDArray[np.bool_]

LARGEST = 160  # pixels
_FOLDER = Path("server") / "thumbnails-1"  # the number changes with how they are made
_AMBER = (255, 176, 58)
_TINT = 0.35
_READING = threading.Semaphore(2)  # images that are read for their thumbnail alone, at once


def thumbnail(folder: Path, images: ImageCache, key: str, mask: tuple[str, Callable[[], Mask]] | None = None) -> bytes:
    """The PNG of an image in the archive in ``folder``. ``key`` : one that the archive has.

    mask : (a word that distinguishes this mask from every other of the image, what reads it), to be displayed with it.
    Raises UnreadableImageError where the image or its mask cannot be read.
    """
    path = folder / _FOLDER / (f"{key}.png" if mask is None else f"{key}-{mask[0]}.png")
    with suppress(OSError):
        return path.read_bytes()
    with _READING:
        made = picture(images.get(key), None if mask is None else mask[1]())
    with suppress(OSError):  # an archive that may not be written
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as beside:
            beside.write_bytes(made)
    return made


def picture(image: Image, mask: Mask | None = None) -> bytes:
    """A PNG of at most :data:`LARGEST` pixels along each side: a slice of the plane that is displayed first, upright.

    That is the middle slice; with a ``mask`` (*spatial) the one that shows most of it, with the mask in amber and its edge.
    """
    from PIL import Image as Pillow

    plane = planes(image)[0]
    place = None if plane.through is None else _place(image.spatial_shape, plane.through, mask)
    centre, width = window(image)
    values = _upright(chosen(image, None, plane, place).array, plane).astype(np.float32)
    low = centre - width / 2
    grey = np.nan_to_num(np.clip((values - low) / max(width, 1e-6), 0, 1) * 255, nan=0.0).astype(np.uint8)
    height, breadth = grey.shape[0] * plane.size[1], grey.shape[1] * plane.size[0]
    scale = LARGEST / max(height, breadth)
    size = (max(1, round(breadth * scale)), max(1, round(height * scale)))
    made = Pillow.fromarray(np.ascontiguousarray(grey)).resize(size, Pillow.Resampling.BILINEAR, reducing_gap=2.0)
    if mask is not None:
        flat = _upright(mask if plane.through is None else np.take(mask, place or 0, axis=plane.through), plane)
        share = Pillow.fromarray(np.ascontiguousarray(flat, np.uint8) * 255).resize(size, Pillow.Resampling.BOX)
        made = Pillow.fromarray(_tinted(np.asarray(made.convert("RGB")), np.asarray(share) >= 128))
    buffer = io.BytesIO()
    made.save(buffer, format="PNG", optimize=False)
    return buffer.getvalue()


def _place(shape: tuple[int, ...], through: int, mask: Mask | None) -> int:
    if mask is None or not mask.any():
        return shape[through] // 2
    others = tuple(axis for axis in range(mask.ndim) if axis != through)
    return int(np.argmax(mask.sum(axis=others)))


def _upright(flat: Array, plane: Plane) -> Array:
    """A slice with the screen's rows first: its two axes keep their order; on the screen y runs down and x to the right."""
    turned = flat if plane.y < plane.x else np.swapaxes(flat, 0, 1)
    return turned[:: -1 if plane.flip_y else 1, :: -1 if plane.flip_x else 1]


def _tinted(picture: Array, mask: Mask) -> Array:
    """(rows, columns, 3) uint8: the mask lightly in amber, its edge wholly."""
    from scipy import ndimage  # half a second that the server's start need not wait for

    inner = ndimage.binary_erosion(mask)
    drawn = picture.astype(np.float32)
    drawn[inner] += (np.array(_AMBER, np.float32) - drawn[inner]) * _TINT
    drawn[mask & ~inner] = _AMBER
    found: Array = drawn.round().astype(np.uint8)
    return found
