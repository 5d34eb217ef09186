"""An image as the planes that a detector looks at: a picture as it is displayed, a volume slice by slice; and boxes of both."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from casewise.image import Box, Image
from casewise.models.preparation import Preparation

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
_CUT = Preparation(2, (8, 8), 1, "none")


class Planes:
    """The planes (rows, columns) of an image, in grey values: colours are joined, a volume is cut across its longest voxels.

    Raises CasewiseError for values that are not numbers and for channels that are no colours.
    """

    def __init__(self, image: Image) -> None:
        self.image = image
        self._parts = _CUT.parts(image)

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, number: int) -> Floats:
        return np.asarray(self._parts[number].array[0])

    @cached_property
    def spacing(self) -> float:
        """Of a plane's pixels: the mean of both axes."""
        view = self._parts[0].view
        return float(np.mean([self.image.spacing[axis] for axis in view.order[:2]]))

    def masks(self, mask: npt.NDArray[np.generic]) -> list[Mask]:
        """A mask (*spatial) of the image, plane by plane."""
        return [np.asarray(part, bool) for part in _CUT.label_parts(np.asarray(mask, bool), self.image)]

    def values(self, array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """A picture's array (rows, columns) as it is displayed."""
        return np.asarray(_CUT.label_parts(np.asarray(array), self.image)[0])

    def back(self, planes: Sequence[npt.NDArray[np.generic]]) -> npt.NDArray[np.float32]:
        """(*spatial) from one array (rows, columns) a plane."""
        whole: npt.NDArray[np.float32] = _CUT.assemble([np.asarray(plane, np.float32)[None] for plane in planes], self.image)[0]
        return whole

    def box_of(self, box: Box, first: int = 0, last: int | None = None) -> Box:
        """A plane's box as one of the image; of a volume from plane ``first`` up to ``last`` (not with it), one if it is None."""
        view, shape = self._parts[0].view, self.image.spatial_shape
        lower, upper = list(box.lower), list(box.upper)
        if view.slices:
            lower, upper = [*lower, first], [*upper, first + 1 if last is None else last]
        bounds = [(0, 0)] * len(shape)
        for place, axis in enumerate(view.order):
            low, high = lower[place], upper[place]
            bounds[axis] = (shape[axis] - high, shape[axis] - low) if place in view.flips else (low, high)
        return Box(tuple(low for low, _ in bounds), tuple(high for _, high in bounds))

    def boxes_of(self, box: Box) -> list[tuple[int, Box]]:
        """(number of the plane, box in it) of a box of the image."""
        view, shape = self._parts[0].view, self.image.spatial_shape
        bounds = []
        for place, axis in enumerate(view.order):
            low, high = box.lower[axis], box.upper[axis]
            bounds.append((shape[axis] - high, shape[axis] - low) if place in view.flips else (low, high))
        flat = Box(tuple(low for low, _ in bounds[:2]), tuple(high for _, high in bounds[:2]))
        return [(number, flat) for number in (range(*bounds[2]) if view.slices else (0,))]


def pieces(mask: Mask) -> list[Box]:
    """The box of each connected piece of a plane's mask."""
    from scipy.ndimage import find_objects, label

    numbered, _ = label(mask, np.ones((3, 3), bool))
    return [Box(tuple(edge.start for edge in found), tuple(edge.stop for edge in found)) for found in find_objects(numbered)]
