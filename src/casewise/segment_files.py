"""The pixels of one segment as a file, so that a person can look at what a network was given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise import formats
from casewise.image import Array, Box, Image


def segment_path(folder: Path, stem: str, image: Image) -> Path:
    """Where the segment of that stem is written, in the image's own kind of file."""
    return folder / f"{stem}{formats.mask_suffix(image)}"


def write_segment(folder: Path, stem: str, pixels: npt.NDArray[np.floating], box: Box, image: Image) -> Path:
    """Write the pixels (C, *segment.shape) of a segment of ``box``, at their place in the patient.

    The file is of the image's own kind (a PNG for a picture, NIfTI for DICOM) and holds the image's own kind of numbers: means
    are rounded where these are whole numbers.
    """
    place = image.crop(box)
    steps = np.ones(4)
    steps[: image.spatial_dims] = np.divide(box.shape, pixels.shape[1:])  # voxels of the image a pixel of the segment
    affine = place.affine * steps
    affine[:3, 3] += place.affine[:3, :3] @ ((steps[:3] - 1) / 2)
    written = replace(place, array=of_kind(pixels, image.array.dtype), affine=affine)
    return formats.write(segment_path(folder, stem, image), written)


def on_grid(pixels: npt.NDArray[np.floating], shape: tuple[int, ...]) -> npt.NDArray[np.floating]:
    """Pixels (C, *segment) of an image that was enlarged for a network, in the image's own: (C, *shape), linear between centres."""
    if pixels.shape[1:] == shape:
        return pixels
    from scipy.ndimage import zoom

    factors = [1.0, *(new / old for new, old in zip(shape, pixels.shape[1:], strict=True))]
    return np.asarray(zoom(pixels, factors, order=1, grid_mode=True, mode="nearest"), pixels.dtype)


def of_kind(pixels: npt.NDArray[np.floating], kind: np.dtype[Any]) -> Array:
    """``pixels`` as an image's kind of numbers, rounded and clipped to what that holds."""
    if kind.kind in "iu":
        return np.asarray(np.clip(np.rint(pixels), np.iinfo(kind).min, np.iinfo(kind).max).astype(kind))
    return (pixels > 0.5) if kind.kind == "b" else pixels.astype(kind)
