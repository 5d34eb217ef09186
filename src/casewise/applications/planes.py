"""What image quality is measured on: planes of an image at a moderate size, values from 0 to 1, and what kind of image it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from casewise.image import Image
from casewise.intensity import percentile_range

Plane = npt.NDArray[np.floating]
SIDE = 512
_TEXT_SIDE = 1024
_MOST_PLANES = 5


class Kind(StrEnum):
    """What is known of an image's kind; it decides which defects can be detected."""

    CHEST_RADIOGRAPH = "chest radiograph"
    RADIOGRAPH = "radiograph"
    CT = "CT"
    MR = "MR"
    ULTRASOUND = "ultrasound"
    OTHER = "other"


_MODALITIES = {
    "CR": Kind.RADIOGRAPH,
    "DX": Kind.RADIOGRAPH,
    "RG": Kind.RADIOGRAPH,
    "CT": Kind.CT,
    "MR": Kind.MR,
    "US": Kind.ULTRASOUND,
}
_WORDS = {
    "xray": Kind.RADIOGRAPH,
    "cxr": Kind.CHEST_RADIOGRAPH,
    "radiograph": Kind.RADIOGRAPH,
    "ct": Kind.CT,
    "mr": Kind.MR,
    "mri": Kind.MR,
    "ultrasound": Kind.ULTRASOUND,
    "us": Kind.ULTRASOUND,
}


@dataclass(frozen=True)
class View:
    """One plane. native : (rows, columns). small, large : means of it, the longer side at least 512 or 1024 pixels.

    Both are native where the image is smaller. They run from 0 to 1 between the plane's 0.5th and 99.5th percentile, and beyond.
    """

    native: npt.NDArray[np.float32]
    small: Plane
    large: Plane


def kind_of(image: Image) -> Kind:
    """By the category that the router predicted (``header.category``), else by the modality."""
    words = (image.header.category or "").lower().replace("x-ray", "xray").replace("x ray", "xray")
    parts = words.replace("-", " ").replace("_", " ").split()
    for word in parts:
        if word in _WORDS:
            chest = _WORDS[word] is Kind.RADIOGRAPH and "chest" in parts
            return Kind.CHEST_RADIOGRAPH if chest else _WORDS[word]
    kind = _MODALITIES.get((image.header.modality or ""), Kind.OTHER)
    chest = kind is Kind.RADIOGRAPH and "CHEST" in (image.header.body_part or "").upper()
    return Kind.CHEST_RADIOGRAPH if chest else kind


def views(image: Image) -> Iterator[View]:
    """The picture itself, or up to five planes of a volume, across its longest voxel edge, from its middle half."""
    grey = image.array.mean(axis=0, dtype=np.float32) if image.channels > 1 else image.array[0]
    if grey.ndim == 2:
        yield _view(grey)
        return
    axis = int(np.argmax(image.spacing))
    if len(set(np.round(image.spacing, 2))) == 1:
        axis = 2  # no edge is longest: the last axis, which in DICOM counts the slices
    count = grey.shape[axis]
    for place in sorted({round(place) for place in np.linspace(0.25, 0.75, _MOST_PLANES) * (count - 1)}):
        yield _view(np.take(grey, place, axis=axis))


def _view(plane: npt.NDArray[np.generic]) -> View:
    native = np.nan_to_num(np.asarray(plane, dtype=np.float32))
    low, high = percentile_range(native[:: max(1, native.shape[0] // SIDE), :: max(1, native.shape[1] // SIDE)])
    scaled = (native.astype(np.float64) - low) / max(high - low, 1e-6)
    return View(native, _reduced(scaled, SIDE), _reduced(scaled, _TEXT_SIDE))


def _reduced(plane: Plane, side: int) -> Plane:
    """Means of whole blocks of pixels, so that the longer side is at least ``side`` and less than twice that."""
    factor = max(plane.shape) // side
    if factor < 2:
        return plane
    rows, columns = (length // factor for length in plane.shape)
    blocks = plane[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor)
    return np.asarray(blocks.mean(axis=(1, 3)), dtype=np.float32)
