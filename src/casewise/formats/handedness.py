"""Right-handed copies: for programs that turn a left-handed volume over in silence (3D Slicer flips its last axis)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from casewise.image import Array, Image


@dataclass(frozen=True, eq=False)
class RightHanded:
    """image : the copy, with the same voxels at the same places. flipped : the axis that it counts from the other end; None where
    the image was right-handed already and is its own copy.
    """

    image: Image
    flipped: int | None

    def back(self, mask: Array) -> Array:
        """A mask (*spatial) of the copy on the image's own grid; of the image on the copy's grid as well."""
        return mask if self.flipped is None else np.ascontiguousarray(np.flip(mask, self.flipped))

    def places_back(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """(n, axes) voxels of the copy as voxels of the image, and the other way about."""
        if self.flipped is None:
            return places
        turned = places.copy()
        turned[:, self.flipped] = self.image.spatial_shape[self.flipped] - 1 - turned[:, self.flipped]
        return turned


def right_handed(image: Image) -> RightHanded:
    """A copy of a volume whose axes are right-handed in the patient: the last axis is flipped where they are not, as Slicer does.

    The same voxels at the same places; nothing is resampled. A picture is its own copy.
    """
    if image.spatial_dims != 3 or np.linalg.det(image.affine[:3, :3]) > 0:
        return RightHanded(image, None)
    affine = image.affine.copy()
    affine[:3, 3] += affine[:3, 2] * (image.spatial_shape[2] - 1)
    affine[:3, 2] *= -1
    flipped = np.ascontiguousarray(image.array[..., ::-1])
    return RightHanded(replace(image, array=flipped, affine=affine, source=None, header=image.header.without_grid()), 2)
