"""How the clients count an image's voxels: (i, j, k), a right-handed volume, whatever the image's own axes are.

3D Slicer turns a left-handed volume right-handed when it reads it, and OHIF sorts a series' slices along the normal of its rows and
columns, which is right-handed too. So what is served is right-handed already, and what comes back is counted as it was served.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from casewise.errors import UsageError
from casewise.header import Header
from casewise.image import Box, Image
from casewise.intensity import grey
from casewise.orientation import column_first, has_places

Kind = TypeVar("Kind", bound=np.generic)
_COLUMN_FIRST = ("NIfTI", "NRRD", "MetaImage")  # their first axis is i already; the other formats count rows first


@dataclass(frozen=True, eq=False)
class ClientGrid:
    """order : which of the image's spatial axes is i, j and (of a volume) k. flipped : k counts from the end of its axis.

    shape : (i, j, k); a picture is one slice. affine : (4, 4), from (i, j, k) to RAS in mm, right-handed. A picture that says
    nothing of where it lies is laid on an axial plane, upright, and a loop's frames along the normal of its plane.
    """

    order: tuple[int, ...]
    flipped: bool
    shape: tuple[int, int, int]
    affine: npt.NDArray[np.float64]

    @classmethod
    def of(cls, image: Image, as_stored: bool = False) -> ClientGrid:
        """The grid on which clients are given ``image``; as_stored : a client has its file, so that nothing is flipped."""
        order = _order(image)
        own = image.spatial_shape
        shape = (own[order[0]], own[order[1]], own[order[2]] if len(order) == 3 else 1)
        affine, flipped = _right_handed(_affine(image, order), shape[2], volume=len(order) == 3 and not image.is_loop)
        if as_stored and flipped:
            affine, flipped = _affine(image, order), False
        return cls(order, flipped, shape, affine)

    def outward(self, array: npt.NDArray[Kind]) -> npt.NDArray[Kind]:
        """(i, j, k) of an array on the image's own spatial axes; a view."""
        turned = array.transpose(self.order)
        turned = turned[..., None] if len(self.order) == 2 else turned
        return turned[:, :, ::-1] if self.flipped else turned

    def inward(self, array: npt.NDArray[Kind]) -> npt.NDArray[Kind]:
        """The image's own spatial axes of an (i, j, k) array: the inverse of :meth:`outward`."""
        turned = array[:, :, ::-1] if self.flipped else array
        turned = turned[..., 0] if len(self.order) == 2 else turned
        return np.ascontiguousarray(turned.transpose(np.argsort(self.order)))

    def places(self, points: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """(n, axes): own voxel indices of points (n, 3) in (i, j, k). Raises UsageError for one outside the image."""
        table = np.asarray(points, np.int64).reshape(-1, 3).copy()
        outside = ((table < 0) | (table >= self.shape)).any(axis=1)
        if outside.any():
            point, size = table[outside][0].tolist(), "×".join(map(str, self.shape))
            raise UsageError(f"The point {point} lies outside the image of {size} voxels; click inside the image.")
        if self.flipped:
            table[:, 2] = self.shape[2] - 1 - table[:, 2]
        return table[:, np.argsort(self.order)]

    def box(self, roi: Sequence[int]) -> Box:
        """The box of a client's ``roi`` [i, i, j, j, k, k], whose pairs may be reversed and end at voxels that belong to it."""
        pairs = [sorted(pair) for pair in zip(roi[::2], roi[1::2], strict=True)]
        lower = [max(0, low) for low, _ in pairs]
        upper = [min(size, high + 1) for (_, high), size in zip(pairs, self.shape, strict=True)]
        if any(low >= high for low, high in zip(lower, upper, strict=True)):
            raise UsageError(
                f"The region of interest {list(roi)} lies outside the image of {self.shape} voxels; draw it on the image."
            )
        if self.flipped:
            lower[2], upper[2] = self.shape[2] - upper[2], self.shape[2] - lower[2]
        axes = np.argsort(self.order)
        return Box(tuple(lower[axis] for axis in axes), tuple(upper[axis] for axis in axes))

    def image(self, image: Image) -> Image:
        """``image`` as clients are given it: one grey channel (1, i, j, k)."""
        return Image(self.outward(_grey(image))[None], self.affine, Header(format="NRRD", modality=image.header.modality))


def _order(image: Image) -> tuple[int, ...]:
    if image.spatial_dims == 2:
        return (0, 1) if column_first(image) else (1, 0)
    return (0, 1, 2) if image.header.format in _COLUMN_FIRST else (1, 0, 2)


def _affine(image: Image, order: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Of the axes in ``order``, before any flip."""
    if has_places(image):
        columns = [image.affine[:, axis] for axis in order]
        return np.stack([*columns, *(image.affine[:, 2] for _ in range(3 - len(columns))), image.affine[:, 3]], axis=1)
    sizes = [image.spacing[axis] if image.header.spacing_known else 1.0 for axis in order]
    # Slicer shows x from the patient's right to left and y from front to back: so the picture stands as on any screen.
    return np.diag([-sizes[0], -sizes[1], sizes[2] if len(sizes) == 3 else 1.0, 1.0])


def _right_handed(affine: npt.NDArray[np.float64], slices: int, volume: bool) -> tuple[npt.NDArray[np.float64], bool]:
    affine = affine.copy()
    if not volume:  # the third column is no direction of the image's
        normal = np.cross(affine[:3, 0], affine[:3, 1])
        affine[:3, 2] = normal / np.linalg.norm(normal)
        return affine, False
    if np.linalg.det(affine[:3, :3]) > 0:
        return affine, False
    affine[:3, 3] += affine[:3, 2] * (slices - 1)
    affine[:3, 2] *= -1
    return affine, True


def _grey(image: Image) -> npt.NDArray[np.generic]:
    """(*spatial) of a type that the clients read; a colour picture as its luminance."""
    if image.channels == 3:
        luminance = grey(image.array)
        return np.asarray(np.rint(luminance), np.uint8) if image.array.dtype == np.uint8 else luminance
    array: npt.NDArray[np.generic] = np.asarray(image.array[0])
    if array.dtype == bool:
        return array.astype(np.uint8)
    return array if array.dtype.itemsize < 8 and array.dtype != np.float16 else array.astype(np.float32)
