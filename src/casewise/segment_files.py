"""The pixels of one segment as a file, so that a person can look at what a network was given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise import formats
from casewise.image import Array, Box, Image


def write_segment(folder: Path, stem: str, pixels: npt.NDArray[np.floating], box: Box, image: Image) -> Path:
    """Write ``pixels`` (C, *box), which may be of no image's kind since means stand in them, at their place in the patient.

    The file is of the image's own kind (a PNG for a picture, NIfTI for DICOM) and holds the image's own kind of numbers: means
    are rounded where these are whole.
    """
    array = of_kind(pixels, image.array.dtype)
    return formats.write(folder / f"{stem}{formats.mask_suffix(image)}", image.crop(box).with_array(array))


def of_kind(pixels: npt.NDArray[np.floating], kind: np.dtype[Any]) -> Array:
    """``pixels`` as an image's kind of numbers, rounded and clipped to what that holds."""
    if kind.kind in "iu":
        return np.asarray(np.clip(np.rint(pixels), np.iinfo(kind).min, np.iinfo(kind).max).astype(kind))
    return (pixels > 0.5) if kind.kind == "b" else pixels.astype(kind)
