"""An application's map, drawn over a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from casewise.image import Array, Image
from casewise.reporting.pictures import Pixels, check_grid, data_uri, rgb, window

_SIDE = 1024
_BYTES = 900_000
_COLOUR = "#D55E00"
_OPACITY = 0.75


@dataclass(frozen=True)
class Heat:
    """A map over its image: title, the picture as a ``data:`` URI, its width and height in pixels."""

    title: str
    uri: str
    width: int
    height: int


def heats(image: Image, maps: Mapping[str, Array]) -> tuple[Heat, ...]:
    """A picture of each map (rows, columns), 0 or more, over a grey image of two axes; none of a volume.

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
        uri, _ = data_uri(heated(picture, values[::step, ::step]), _BYTES)
        drawn.append(Heat(title, uri, picture.shape[1], picture.shape[0]))
    return tuple(drawn)


def heated(picture: Pixels, values: Array) -> Pixels:
    """(rows, columns, 3): a picture (rows, columns[, 3]) with a map (rows, columns), 0 or more, over it; its highest at 75 %."""
    grey = picture.astype(np.float32) if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2).astype(np.float32)
    heat = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    share = (np.clip(heat / max(float(heat.max()), 1e-6), 0, 1) * _OPACITY)[..., None]
    return np.asarray(np.rint(grey * (1 - share) + np.array(rgb(_COLOUR), np.float32) * share).astype(np.uint8))
