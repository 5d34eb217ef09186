"""A similar case together with its picture, as sheets and reports display it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from casewise.image import Array, Image
from casewise.reporting.pictures import Pixels, channels_last, check_grid, display_range, thumbnail, to_pixels
from casewise.reporting.planes import best_index, planes, spread
from casewise.result import SimilarCase
from casewise.wording import score


@dataclass(frozen=True, eq=False)
class SimilarPicture:
    """A similar case, its image, and its masks by name (each (*spatial) bool on that image's grid)."""

    case: SimilarCase
    image: Image
    masks: Mapping[str, Array] = field(default_factory=dict)


def tile(image: Image, masks: Mapping[str, Array], side: int, palette: Mapping[str, str] | None = None) -> Pixels:
    """(rows, columns, 3), at most ``side`` × ``side``: the image's first plane where it has most of its masks, contours drawn.

    palette : mask name → #RRGGBB; by the masks' own order without it.
    """
    bare = {name: np.asarray(mask, dtype=bool) for name, mask in masks.items()}
    for name, mask in bare.items():
        check_grid(name, mask, image.spatial_shape)
    plane = planes(image)[0]
    plane = plane.at(best_index(plane, spread(bare.values(), image.spatial_shape)))
    pixels = to_pixels(plane.cut(channels_last(image)), *display_range(image))
    return thumbnail(pixels, {name: plane.cut(mask) for name, mask in bare.items()}, plane.spacing, side, palette)


def terms(case: SimilarCase) -> list[tuple[str, str]]:
    """(name, figure) of a case's score and of its latent and content terms, as far as they were asked for."""
    named: Sequence[tuple[str, float | None]] = (("score", case.score), ("latent", case.latent), ("content", case.content))
    return [(name, score(value)) for name, value in named if value is not None]
