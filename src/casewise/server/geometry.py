"""How an image's voxels lie on the screen: which axes, which way round, and with which window to begin.

Radiological display: axial and coronal planes with the patient's left on the right of the screen, sagittal ones with the face to
the left, the head up. A picture is laid as :func:`casewise.orientation.displayed` lays it.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
import numpy.typing as npt

from casewise.image import Image
from casewise.orientation import Turn, directions_of, displayed
from casewise.server.schemas.cases import Letters, Plane

# name → (patient's axis along the width, along the height, through; letters left, right, top, bottom). Axes: 0 R, 1 A, 2 S.
_ANATOMICAL = {
    "axial": ((0, 1, 2), ("R", "L", "A", "P")),
    "coronal": ((0, 2, 1), ("R", "L", "H", "F")),
    "sagittal": ((1, 2, 0), ("A", "P", "H", "F")),
}
_OPPOSITE = {"L": "R", "R": "L", "H": "F", "F": "H", "A": "P", "P": "A"}
_UNPLACED = ("row", "column", "slice")  # planes of a volume that does not say how it lies, by the axis that they lie across
_SOFT_TISSUE = (40.0, 400.0)
_LOOKED_AT = 1_000_000  # voxels by which a window is chosen
_PERCENTILES = (0.5, 99.5)


def planes(image: Image) -> list[Plane]:
    """The planes in which an image is displayed, the one of the finest voxels first.

    A picture has one, ``image``; a loop one, ``frame``. A volume has axial, coronal and sagittal ones, each of the two voxel axes
    that are nearest to them; one that does not say how it lies has ``slice``, ``column`` and ``row``, without letters.
    """
    if image.spatial_dims == 2:
        return [_flat(image, "image", None, None)]
    if image.is_loop:
        return [_flat(image.frame(0), "frame", 2, _mean_step(image.header.frame_times))]
    found = _anatomical(image) if image.header.orientation_known else _unplaced(image)
    return sorted(found, key=lambda plane: -round(plane.step or 1.0, 3))


def window(image: Image) -> tuple[float, float]:
    """(centre, width) to begin with: the file's own, soft tissue for CT, else all but the outermost values."""
    if image.header.window is not None:
        return image.header.window
    if image.channels > 1 and image.array.dtype == np.uint8:
        return 127.5, 255.0
    if image.header.modality == "CT":
        return _SOFT_TISSUE
    steps = max(1, int(np.ceil((image.array[0].size / _LOOKED_AT) ** (1 / image.spatial_dims))))
    values = image.array[0][tuple(slice(None, None, steps) for _ in image.spatial_shape)].astype(np.float64)
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(finite, _PERCENTILES))
    if high <= low:
        low, high = float(finite.min()), float(finite.max())
    return (low + high) / 2, (high - low) or 1.0


def _flat(picture: Image, name: str, through: int | None, step: float | None) -> Plane:
    turn = displayed(picture)
    (y, x), (flip_y, flip_x) = turn.axes, turn.flipped
    size = (picture.spacing[x], picture.spacing[y]) if picture.header.spacing_known else (1.0, 1.0)
    return Plane(
        name=name,
        x=x,
        y=y,
        through=through,
        flip_x=flip_x,
        flip_y=flip_y,
        size=size,
        step=step,
        letters=_letters(picture, turn),
    )


def _letters(picture: Image, turn: Turn) -> Letters | None:
    """Where the sides of a turned picture lie, by the directions of its own two axes; None where these are not stated."""
    directions = directions_of(picture)
    if directions is None:
        return None
    along = directions[1], directions[0]  # of the axis that counts rows, and of the one that counts columns
    towards = [_OPPOSITE[along[axis]] if flipped else along[axis] for axis, flipped in zip(turn.axes, turn.flipped, strict=True)]
    bottom, right = towards
    return Letters(left=_OPPOSITE[right], right=right, top=_OPPOSITE[bottom], bottom=bottom)


def _anatomical(image: Image) -> list[Plane]:
    axes, rising = _nearest(image.affine)
    found = []
    for name, ((width, height, through), (left, right, top, bottom)) in _ANATOMICAL.items():
        x, y, across = axes[width], axes[height], axes[through]
        found.append(
            Plane(
                name=name,
                x=x,
                y=y,
                through=across,
                flip_x=rising[width] == (left in "RAH"),
                flip_y=rising[height] == (top in "RAH"),
                size=(image.spacing[x], image.spacing[y]) if image.header.spacing_known else (1.0, 1.0),
                step=image.spacing[across] if image.header.spacing_known else 1.0,
                letters=Letters(left=left, right=right, top=top, bottom=bottom),
            )
        )
    return found


def _nearest(affine: npt.NDArray[np.float64]) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """For the patient's axes R, A, S: the voxel axis nearest to it, and whether that runs towards + of it.

    Of all ways to pair them the one of the greatest product of cosines: no pair of it lies at a right angle.
    """
    cosines = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    axes = max(permutations(range(3)), key=lambda order: round(float(np.prod([abs(cosines[n, order[n]]) for n in range(3)])), 9))
    return axes, tuple(bool(cosines[n, axes[n]] > 0) for n in range(3))


def _unplaced(image: Image) -> list[Plane]:
    """Of a volume in its file's order: (row, column, slice), or (i, j, k) whose i runs along the screen's width."""
    swapped = _columns_first(image)
    found = []
    for through in (2, 1, 0):
        first, second = (axis for axis in range(3) if axis != through)
        # The third axis runs down the screen, as does the first of an array that counts rows first.
        x, y = (first, second) if through != 2 or swapped else (second, first)
        known = image.header.spacing_known
        found.append(
            Plane(
                name=_UNPLACED[through],
                x=x,
                y=y,
                through=through,
                flip_x=False,
                flip_y=False,
                size=(image.spacing[x], image.spacing[y]) if known else (1.0, 1.0),
                step=image.spacing[through] if known else 1.0,
                letters=None,
            )
        )
    return found


def _columns_first(image: Image) -> bool:
    """Whether the first axis of a volume counts along a row, as in NIfTI, NRRD and MetaImage files."""
    return image.header.format in ("NIfTI", "NRRD", "MetaImage")


def _mean_step(times: tuple[float, ...]) -> float | None:
    return (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else None
