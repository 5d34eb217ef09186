"""An image's regions cut into segments, and a file for each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise import chest, formats
from casewise.chest.region import HEART, OVERLAP
from casewise.image import Array, Image
from casewise.reporting.report import file_stem
from casewise.segments import Segments, segments


def cut(
    image: Image,
    regions: Mapping[str, npt.NDArray[np.bool_]] | None = None,
    *,
    parts: int = 2,
    longest: int | None = None,
    device: str = "auto",
) -> Segments:
    """The segments of ``regions``, each (*spatial) bool; without them of the lungs and the heart of a chest radiograph.

    parts : the least number of segments of a region (of the heart: one). longest : the most voxels of a segment on any axis.
    """
    single: tuple[str, ...] = ()
    if regions is None:
        regions = {name: mask for name, mask in chest.regions(image, device).masks.items() if name != OVERLAP}
        single = (HEART,)
    return segments(dict(regions), image.spatial_shape, parts=parts, longest=longest, single=single)


def write_segments(folder: Path, found: Segments, image: Image, *, outside: str = "mean", seed: int = 0) -> dict[int, Path]:
    """A file for each segment, with the image's own kind of pixels, at its place in the patient; number → path.

    outside : what replaces the pixels outside the region, as :meth:`Segments.pixels` takes it.
    """
    suffix = formats.mask_suffix(image)
    written = {}
    for number, segment in enumerate(found):
        array = _as_kind(found.pixels(image.array, segment, outside=outside, seed=seed), image.array.dtype)
        name = folder / f"{number + 1:02d}-{file_stem(segment.region)}{suffix}"
        written[number] = formats.write(name, image.crop(segment.box).with_array(array))
    return written


def _as_kind(pixels: npt.NDArray[np.floating[Any]], kind: np.dtype[Any]) -> Array:
    """Replaced pixels are means: rounded where the image holds whole numbers."""
    if kind.kind in "iu":
        return np.asarray(np.clip(np.rint(pixels), np.iinfo(kind).min, np.iinfo(kind).max).astype(kind))
    return (pixels > 0.5) if kind.kind == "b" else pixels.astype(kind)
