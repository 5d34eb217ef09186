"""Volumes of one plane: read as a picture, and written as the volume that they were."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from casewise.image import Array, Image
from casewise.orientation import affine_of_file

Affine = npt.NDArray[np.float64]


def without_single_axis(array: Array, affine: Affine) -> tuple[Array, Affine, int]:
    """(C, *two axes) of a volume (C, *three axes) with an axis of length 1, the last such one; the affine with that axis last.

    Third comes which axis it was, −1 where the array had no third. A volume of more than one plane stays as it is.
    """
    if array.ndim != 4:
        return array, affine, -1
    singles = [axis for axis, length in enumerate(array.shape[1:]) if length == 1]
    if not singles:
        return array, affine, -1
    single = singles[-1]
    return np.take(array, 0, axis=single + 1), affine[:, [*_others(single), single, 3]], single


def with_single_axis(image: Image) -> Image:
    """A picture as the volume of one plane that its file held: ``header.single_axis`` says across which axis."""
    single = image.header.single_axis
    if image.spatial_dims != 2 or not isinstance(single, int) or single not in (0, 1, 2):
        return image
    return Image(np.expand_dims(image.array, single + 1), affine_of_file(image), image.header, image.source)


def _others(single: int) -> list[int]:
    return [axis for axis in range(3) if axis != single]
