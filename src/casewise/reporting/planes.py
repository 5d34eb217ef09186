"""Which cuts through an image are displayed, and which way up: as radiologists expect them.

Viewed from the feet (axial) and from the front (coronal), the patient's right is on the viewer's left; anterior is up in an axial
cut, superior in the two others; a sagittal cut looks to the viewer's left. Cuts follow the voxel grid, never interpolated: an
oblique grid is displayed along its own axes, under the name of the anatomical plane nearest to each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np
import numpy.typing as npt

from casewise.image import Array, Box, Image
from casewise.orientation import displayed, in_own_space, volume_rows_first

Spread = tuple[npt.NDArray[np.int64], ...]

# For each plane: the patient axis (0 right, 1 anterior, 2 superior) it looks along, and those that its columns and rows run along.
_PLANES = {"axial": (2, 0, 1), "coronal": (1, 0, 2), "sagittal": (0, 1, 2)}
_TOWARDS = ("R", "A", "S")
_OPPOSITE = {"R": "L", "A": "P", "S": "I"}
_MIN_SIDE = 12
_MAX_ELONGATION = 6.0
_ANISOTROPIC = 1.5


@dataclass(frozen=True)
class Plane:
    """A cut through an image's grid, as it is displayed.

    name : axial, coronal, sagittal, or slice (of a volume of unknown orientation); ``""`` for a picture.
    axes : the spatial axes that its rows and its columns count. flipped : whether each of the two is turned round.
    through, index : the spatial axis looked along, and where it is cut (None, 0 for a picture).
    spacing : distance of two rows, and of two columns, in mm (or pixels).
    edges : the patient's sides at the left, right, top and bottom of the cut (R, L, A, P, S, I), or four empty strings.
    tilt : degrees between the cut and the plane it is named for.
    """

    name: str
    axes: tuple[int, int]
    flipped: tuple[bool, bool]
    through: int | None
    index: int
    spacing: tuple[float, float]
    edges: tuple[str, str, str, str] = ("", "", "", "")
    tilt: float = 0.0

    def at(self, index: int) -> Plane:
        """The parallel cut at another index of the axis looked along."""
        return replace(self, index=index)

    def cut(self, array: Array) -> Array:
        """(rows, columns) of ``array`` (*spatial), or (rows, columns, C) of an array (*spatial, C)."""
        if self.through is not None:
            array = np.take(array, self.index, axis=self.through)
        if self.axes[0] > self.axes[1]:
            array = np.swapaxes(array, 0, 1)
        return array[:: -1 if self.flipped[0] else 1, :: -1 if self.flipped[1] else 1]

    def rectangle(self, box: Box, shape: tuple[int, ...]) -> tuple[int, int, int, int] | None:
        """(top, left, bottom, right), half-open, of a box in the displayed cut of a grid of ``shape``; None where it is not cut."""
        if self.through is not None and not box.lower[self.through] <= self.index < box.upper[self.through]:
            return None
        ends = []
        for axis, flipped in zip(self.axes, self.flipped, strict=True):
            lower, upper = box.lower[axis], box.upper[axis]
            ends.append((shape[axis] - upper, shape[axis] - lower) if flipped else (lower, upper))
        return ends[0][0], ends[1][0], ends[0][1], ends[1][1]


def planes(image: Image) -> tuple[Plane, ...]:
    """The cuts worth displaying, through the middle, the one of the finest voxels first; a picture has one, as it is displayed.

    Of a volume, the cut across its thickest voxels (else the axial one) always; the two others where they are no mere
    stripes. A volume whose orientation is not known (``header.orientation_known``) has its
    slices as they are stored, and no sides are named.
    """
    if image.spatial_dims == 2:
        view = displayed(image)
        rows, columns = (image.spacing[axis] for axis in view.axes)
        return (Plane("", view.axes, view.flipped, None, 0, (rows, columns)),)
    if not image.header.orientation_known:
        return (_stored(image),)
    cuts = [_plane(image, name) for name in _PLANES]
    spacing = image.spacing
    if max(spacing) > _ANISOTROPIC * min(spacing):
        cuts.sort(key=lambda plane: -spacing[_axis(plane)])
    known = image.header.spacing_known
    return (cuts[0], *(plane for plane in cuts[1:] if known and _is_no_stripe(plane, image.spatial_shape)))


def spread(masks: Iterable[Array], shape: tuple[int, ...]) -> Spread:
    """For each spatial axis, how many voxels of the masks (*spatial) lie at each of its indices."""
    totals = tuple(np.zeros(side, np.int64) for side in shape)
    for mask in masks:
        box = Box.around(mask)
        if box is None:
            continue
        held = mask[box.slices]
        for axis, total in enumerate(totals):
            others = tuple(other for other in range(len(shape)) if other != axis)
            total[box.slices[axis]] += np.count_nonzero(held, axis=others)
    return totals


def best_index(plane: Plane, held: Spread, boxes: Sequence[Box] = ()) -> int:
    """Where along its axis a plane has most of the masks (see :func:`spread`); else the middle of the first box, or of all."""
    if plane.through is None:
        return 0
    areas = held[plane.through]
    if areas.any():
        best = np.flatnonzero(areas == areas.max())
        return int(best[len(best) // 2])
    if boxes:
        return (boxes[0].lower[plane.through] + boxes[0].upper[plane.through] - 1) // 2
    return len(areas) // 2


def strip(plane: Plane, held: Spread, count: int) -> tuple[int, ...]:
    """At most ``count`` evenly spaced indices over what the masks span along a plane's axis (the whole axis without any)."""
    if plane.through is None:
        return ()
    hits = np.flatnonzero(held[plane.through])
    first, last = (int(hits[0]), int(hits[-1])) if hits.size else (0, len(held[plane.through]) - 1)
    chosen = np.unique(np.linspace(first, last, min(count, last - first + 1)).round().astype(int))
    return tuple(int(index) for index in chosen)


def _stored(image: Image) -> Plane:
    """Cuts along the last axis: rows first where the file's kind stores them so, else as (i, j, k) with j upwards.

    In a space of an NRRD or MetaImage file's own j runs down, as in a slice of DICOM that was converted.
    """
    rows_first = volume_rows_first(image)
    axes = (0, 1) if rows_first else (1, 0)
    spacing = image.spacing
    flipped = (not rows_first and not in_own_space(image), False)
    return Plane("slice", axes, flipped, 2, image.spatial_shape[2] // 2, (spacing[axes[0]], spacing[axes[1]]))


def _plane(image: Image, name: str) -> Plane:
    cosines = image.affine[:3, :3] / np.linalg.norm(image.affine[:3, :3], axis=0)
    # The one-to-one pairing of patient axes (the position) with voxel axes (the value) that turns the grid least.
    pairing = max(permutations(range(3)), key=lambda axes: sum(abs(cosines[n, axis]) for n, axis in enumerate(axes)))
    looked, across, down = _PLANES[name]
    through, column_axis, row_axis = pairing[looked], pairing[across], pairing[down]
    column_up, row_up = bool(cosines[across, column_axis] > 0), bool(cosines[down, row_axis] > 0)
    spacing = image.spacing
    # The high end (R, A, S) belongs at the left and at the top, where index 0 is drawn: turn round the axes that run towards it.
    return Plane(
        name=name,
        axes=(row_axis, column_axis),
        flipped=(row_up, column_up),
        through=through,
        index=image.spatial_shape[through] // 2,
        spacing=(spacing[row_axis], spacing[column_axis]),
        edges=(_TOWARDS[across], _OPPOSITE[_TOWARDS[across]], _TOWARDS[down], _OPPOSITE[_TOWARDS[down]]),
        tilt=_tilt(image, row_axis, column_axis, looked),
    )


def _tilt(image: Image, row_axis: int, column_axis: int, looked: int) -> float:
    normal = np.cross(image.affine[:3, row_axis], image.affine[:3, column_axis])
    cosine = abs(normal[looked]) / np.linalg.norm(normal)
    return float(np.degrees(np.arccos(min(1.0, cosine))))


def _axis(plane: Plane) -> int:
    return 0 if plane.through is None else plane.through


def _is_no_stripe(plane: Plane, shape: tuple[int, ...]) -> bool:
    rows, columns = (shape[axis] for axis in plane.axes)
    height, width = rows * plane.spacing[0], columns * plane.spacing[1]
    return min(rows, columns) >= _MIN_SIDE and max(height, width) <= _MAX_ELONGATION * min(height, width)
