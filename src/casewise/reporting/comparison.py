"""What an application synthesised of an image beside the real one and their difference, the three side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from casewise.image import Array, Image
from casewise.reporting.pictures import Pixels, check_grid, data_uri, display_range, rgb, thumbnail, to_pixels
from casewise.reporting.planes import Plane, planes

_SIDE = 480
_BYTES = 220_000
_COLOUR = "#D55E00"
_OPACITY = 0.85
_MAP, _SYNTHESISED = "-map", "-synthesised"


@dataclass(frozen=True, eq=False)
class Synthesis:
    """name : the application's. synthesised : (*spatial) in the image's own intensities. difference : (*spatial), 0 or more."""

    name: str
    synthesised: Array
    difference: Array


@dataclass(frozen=True)
class Comparison:
    """Three pictures of one size as ``data:`` URIs. caption : which slice they are of."""

    title: str
    caption: str
    real: str
    synthesised: str
    difference: str


def synthesised_beside(path: Path) -> Path | None:
    """The synthesised image's file beside an application's map: ``NAME-synthesised`` beside ``NAME-map``; None where none lies."""
    if _MAP not in path.name:
        return None
    beside = path.with_name(path.name.replace(_MAP, _SYNTHESISED, 1))
    return beside if beside.is_file() else None


def comparisons(image: Image, made: Sequence[Synthesis]) -> tuple[Comparison, ...]:
    """The slice with the largest difference of each (a picture whole), in the image's own window.

    Raises CasewiseError for arrays off the image's grid.
    """
    found = []
    for one in made:
        for what, values in (("synthesised image", one.synthesised), ("difference", one.difference)):
            check_grid(f"{one.name}: {what}", values, image.spatial_shape)
        plane = _plane(image, one.difference)
        window = display_range(image)
        real = to_pixels(plane.cut(image.array[: 3 if image.channels == 3 else 1].mean(axis=0)), *window)
        synthesised = to_pixels(plane.cut(one.synthesised), *window)
        difference = _drawn(real, plane.cut(one.difference), float(one.difference.max()))
        uris = (_uri(pixels, plane) for pixels in (real, synthesised, difference))
        caption = f"slice {plane.index}" if plane.through is not None else ""
        found.append(Comparison(one.name, caption, *uris))
    return tuple(found)


def _plane(image: Image, difference: Array) -> Plane:
    """The plane across the axis along which the image is cut first, where the difference is largest."""
    plane = planes(image)[0]
    if plane.through is None:
        return plane
    axes = tuple(axis for axis in range(difference.ndim) if axis != plane.through)
    return plane.at(int(difference.max(axis=axes).argmax()))


def _drawn(real: Pixels, values: Array, highest: float) -> Pixels:
    """(rows, columns, 3): the difference in orange over the picture, darkened so that it stands out."""
    share = (np.clip(values.astype(np.float32) / max(highest, 1e-6), 0, 1) ** 0.7 * _OPACITY)[..., None]
    grey = np.repeat(real[..., None].astype(np.float32), 3, axis=2) * 0.6
    return np.asarray(np.rint(grey * (1 - share) + np.array(rgb(_COLOUR), np.float32) * share).astype(np.uint8))


def _uri(pixels: Pixels, plane: Plane) -> str:
    return data_uri(thumbnail(pixels, {}, plane.spacing, _SIDE), _BYTES)[0]
