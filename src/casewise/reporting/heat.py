"""An application's map, drawn over a picture."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from casewise.image import Array, Image
from casewise.reporting.pictures import Pixels, check_grid, data_uri, rgb, window

_SIDE = 1024
_BYTES = 900_000
COLOUR = "#D55E00"
OPACITY = 0.75
_DARK = 0.45  # of what nothing looked at


@dataclass(frozen=True)
class Heat:
    """A map over its image: title, the picture as a ``data:`` URI, its width and height in pixels. partial : whether 0 says that
    nothing looked there; such places are dark.
    """

    title: str
    uri: str
    width: int
    height: int
    partial: bool = False


def heats(image: Image, maps: Mapping[str, Array], partial: Collection[str] = ()) -> tuple[Heat, ...]:
    """A picture of each map (rows, columns), 0 or more, over a grey image of two axes; none of a volume.

    partial : titles of maps whose zeros are places that nothing looked at; these are drawn dark.
    A map's highest value is drawn at 75 % opacity and lower ones in proportion; pictures are reduced to 1,024 pixels.
    Raises CasewiseError for a map off the image's grid.
    """
    if image.spatial_dims != 2:
        return ()
    step = -(-max(image.spatial_shape) // _SIDE)
    picture = window(image)[::step, ::step]
    drawn = []
    for title, values in maps.items():
        check_grid(title, values, image.spatial_shape)
        coarse, seen = values[::step, ::step], picture
        if title in partial:
            seen = np.where(_channels(coarse.astype(bool), picture), picture, np.rint(picture * _DARK)).astype(np.uint8)
        uri, _ = data_uri(heated(seen, coarse), _BYTES)
        drawn.append(Heat(title, uri, picture.shape[1], picture.shape[0], title in partial))
    return tuple(drawn)


def heated(picture: Pixels, values: Array) -> Pixels:
    """(rows, columns, 3): a picture (rows, columns[, 3]) with a map (rows, columns), 0 or more, over it; its highest at 75 %."""
    grey = picture.astype(np.float32) if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2).astype(np.float32)
    share = shares(values, hottest(values))[..., None]
    return np.asarray(np.rint(grey * (1 - share) + np.array(rgb(COLOUR), np.float32) * share).astype(np.uint8))


def shares(values: Array, most: float) -> npt.NDArray[np.float32]:
    """How opaque a map's values are drawn, 0 to 0.75, where ``most`` is the map's highest."""
    return np.asarray(np.clip(_finite(values) / max(most, 1e-6), 0, 1) * OPACITY)


def hottest(values: Array) -> float:
    """The highest value of a map, at least 0."""
    return float(_finite(values).max(initial=0.0))


def _finite(values: Array) -> npt.NDArray[np.float32]:
    return np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)


def _channels(mask: npt.NDArray[np.bool_], picture: Pixels) -> npt.NDArray[np.bool_]:
    return mask[..., None] if picture.ndim == 3 else mask
