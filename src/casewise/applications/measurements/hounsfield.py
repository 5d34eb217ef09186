"""Whether an image's values are Hounsfield units, and the body in it: what all measures of CT start from.

A file need not say that it is in Hounsfield units: NIfTI does not. Values say it themselves where much of the image is air and
much is soft tissue, −1000 and around 0 on no other scale. Pictures (PNG, JPEG) are windowed and never are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from casewise.image import Image

Mask = npt.NDArray[np.bool_]
AIR_HU, SOFT_HU = (-1100.0, -850.0), (-200.0, 200.0)
BODY_HU = -400.0  # above it is body, below it air or lung
_AIR_SHARE, _SOFT_SHARE = 0.01, 0.05  # of the voxels, where the file does not say that it is CT
_SAMPLES = 500_000
_GRID_MM = 2.0  # at which the body is looked for
_OPENED = 2  # pixels of that grid: what is thinner than twice that is table, blanket or tube
_LEAST = 0.01  # of a plane: a smaller body is none
WINDOWED = "the values are not Hounsfield units, as those of a windowed picture are not; give the original CT"
_KEPT: WeakKeyDictionary[Image, Body] = WeakKeyDictionary()


def in_hounsfield_units(image: Image) -> bool:
    """Whether the values of a grey image are Hounsfield units: none where its header says another modality than CT."""
    if image.channels != 1 or image.array.dtype == np.uint8 or image.header.modality not in (None, "CT"):
        return False
    values = image.array.reshape(-1)[:: image.array.size // _SAMPLES | 1].astype(np.float32)
    air, soft = (float(np.mean((values >= low) & (values <= high))) for low, high in (AIR_HU, SOFT_HU))
    if image.header.modality == "CT" and image.header.format == "DICOM":
        return float(values.min()) <= AIR_HU[1] and soft > 0
    return air >= _AIR_SHARE and soft >= _SOFT_SHARE


@dataclass(frozen=True, eq=False)
class Body:
    """The body in each axial plane: its largest connected piece, holes filled.

    mask : (*spatial) of the image. axis : that counts the planes; None for a picture. cut : how many planes hold a body that
    reaches the picture's edge, where part of it may be missing.
    """

    mask: Mask
    axis: int | None
    cut: int

    def planes(self) -> Iterator[tuple[tuple[slice | int, ...], Mask]]:
        """(index of a plane, its mask) of each plane that holds body."""
        for index, mask in planes_of(self.mask, self.axis):
            if mask.any():
                yield index, mask


def planes_of(array: npt.NDArray[np.bool_], axis: int | None) -> Iterator[tuple[tuple[slice | int, ...], Mask]]:
    """(index, plane) along ``axis``; a picture itself, where that is None."""
    if axis is None:
        yield (slice(None), slice(None)), array
        return
    for place in range(array.shape[axis]):
        index = tuple(place if other == axis else slice(None) for other in range(3))
        yield index, array[index]


def axial_axis(image: Image) -> int | None:
    """The axis of a volume that runs from feet to head; None for a picture. The third, where the file does not say how axes lie."""
    if image.spatial_dims == 2:
        return None
    return int(np.argmax(np.abs(image.affine[2, :3]))) if image.header.orientation_known else 2


def body_of(image: Image) -> Body:
    """The body in an image in Hounsfield units, found once for an image."""
    found = _KEPT.get(image)
    if found is None:
        found = _KEPT[image] = _found(image)
    return found


def _found(image: Image) -> Body:
    axis = axial_axis(image)
    steps = [step for number, step in enumerate(image.spacing) if number != axis]
    thinned = [max(1, int(_GRID_MM / step)) if image.header.spacing_known else 1 for step in steps]
    above = image.array[0] > BODY_HU
    mask = np.zeros(image.spatial_shape, bool)
    cut = 0
    for index, plane in planes_of(above, axis):
        small = outline(plane[:: thinned[0], :: thinned[1]])
        body = np.repeat(np.repeat(small, thinned[0], axis=0), thinned[1], axis=1)
        mask[index] = body[: plane.shape[0], : plane.shape[1]]
        cut += bool(small[0].any() or small[-1].any() or small[:, 0].any() or small[:, -1].any())
    return Body(mask, axis, cut)


def outline(above: Mask) -> Mask:
    """The largest piece of a plane that is left once what is thin is gone, its holes filled; nothing where that is small."""
    opened = ndimage.binary_opening(np.pad(above, _OPENED, mode="edge"), iterations=_OPENED)[_OPENED:-_OPENED, _OPENED:-_OPENED]
    pieces, count = ndimage.label(opened)
    if not count:
        return np.zeros_like(above)
    sizes = np.bincount(pieces.ravel())[1:]
    if sizes.max() < _LEAST * above.size:
        return np.zeros_like(above)
    return np.asarray(ndimage.binary_fill_holes(pieces == 1 + int(np.argmax(sizes))))
