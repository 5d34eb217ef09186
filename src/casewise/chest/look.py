"""Where a detector looks in a frontal chest radiograph: its lungs and heart, upright, at the size of pixels that nodules are
sought at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.chest.nodules.false_positive_reduction import in_lungs
from casewise.chest.nodules.films import film_of
from casewise.chest.region import Regions
from casewise.chest.region_pose import Pose
from casewise.chest.segments import OVERLAP_MM, PIXEL_MM, chest_segments
from casewise.errors import CasewiseError
from casewise.image import Box, Image
from casewise.irregularities.planes import Mask, Planes
from casewise.irregularities.scenes import Scale, Scene
from casewise.segments import Segments

FILM_PIXELS = 2048  # of a film whose pixels measure PIXEL_MM


@dataclass(frozen=True, eq=False)
class ChestLook:
    """Implements :class:`casewise.irregularities.scenes.Look`. find : gives a picture's regions, as
    :func:`casewise.chest.regions` does on a device.
    """

    scale: Scale
    find: Callable[[Image], Regions]

    @property
    def key(self) -> str:
        return f"chest:{self.scale.overlap}:{self.scale.edges}"

    def scenes(self, image: Image, masks: Mapping[str, Mask], only: Sequence[int] | None = None) -> Iterator[Scene]:
        """One; none where ``only`` does not want it. Raises CasewiseError for a volume and where no lung is found."""
        if image.spatial_dims != 2:
            raise CasewiseError("This detector takes frontal chest radiographs; this image is a volume.")
        if only is not None and 0 not in only:
            return
        film = film_of(image, self.find(image))

        def cut(regions: Mapping[str, Mask], boxes: tuple[Box, ...] = ()) -> Segments:
            return chest_segments(dict(regions), film.millimetres, boxes, max(OVERLAP_MM, self.scale.overlap * PIXEL_MM))

        turn = _Turn(film.pose, Planes(image))
        yield Scene(film.array[0], film.regions, cut, in_lungs, 0, film.enlarged, film.shape, turn)


@dataclass(frozen=True, eq=False)
class _Turn:
    """From the picture as it is displayed to the upright film."""

    pose: Pose
    planes: Planes

    @property
    def inverted(self) -> bool:
        return self.pose.inverted

    def upright(self, plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.ascontiguousarray(self.pose.upright(self.planes.back([plane])))

    def back(self, plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.ascontiguousarray(self.planes.values(self.pose.back(plane)))


def chest_scale(sizes: Sequence[float], images: Sequence[tuple[float, int]]) -> Scale:
    """Of a chest's irregularities. sizes : of each in pixels. images : (mm a pixel, 0 where it is not stated; longest edge in
    pixels) of each one's film, which is taken to be as large as others are where its file does not say it.
    """
    pairs = zip(sizes, images, strict=True)
    return Scale.of([size * (spacing / PIXEL_MM if spacing else FILM_PIXELS / edge) for size, (spacing, edge) in pairs])
