"""Thumbnails: the middle of an image as it is displayed, made once and kept in the archive's folder."""

from __future__ import annotations

import io
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np

from casewise.files import replacing
from casewise.image import Image
from casewise.server.geometry import planes, window
from casewise.server.images import ImageCache
from casewise.server.voxels import chosen

LARGEST = 160  # pixels
_FOLDER = Path("server") / "thumbnails-1"  # the number changes with how they are made
_READING = threading.Semaphore(2)  # images that are read for their thumbnail alone, at once


def thumbnail(folder: Path, images: ImageCache, key: str) -> bytes:
    """The PNG of an image in the archive in ``folder``. ``key`` : one that the archive has.

    Raises UnreadableImageError where the image cannot be read.
    """
    path = folder / _FOLDER / f"{key}.png"
    with suppress(OSError):
        return path.read_bytes()
    with _READING:
        made = picture(images.get(key))
    with suppress(OSError):  # an archive that may not be written
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as beside:
            beside.write_bytes(made)
    return made


def picture(image: Image) -> bytes:
    """A PNG of at most :data:`LARGEST` pixels along each side: the middle slice of the plane that is displayed first, upright."""
    from PIL import Image as Pillow

    plane = planes(image)[0]
    middle = None if plane.through is None else image.spatial_shape[plane.through] // 2
    centre, width = window(image)
    taken = chosen(image, None, plane, middle)
    # Its two axes keep their order; on the screen y runs down and x to the right.
    flat = taken.array if plane.y < plane.x else np.swapaxes(taken.array, 0, 1)
    values = np.asarray(flat[:: -1 if plane.flip_y else 1, :: -1 if plane.flip_x else 1], np.float32)
    low = centre - width / 2
    grey = np.nan_to_num(np.clip((values - low) / max(width, 1e-6), 0, 1) * 255, nan=0.0).astype(np.uint8)
    height, breadth = grey.shape[0] * plane.size[1], grey.shape[1] * plane.size[0]
    scale = LARGEST / max(height, breadth)
    size = (max(1, round(breadth * scale)), max(1, round(height * scale)))
    made = Pillow.fromarray(np.ascontiguousarray(grey)).resize(size, Pillow.Resampling.BILINEAR, reducing_gap=2.0)
    buffer = io.BytesIO()
    made.save(buffer, format="PNG", optimize=False)
    return buffer.getvalue()
