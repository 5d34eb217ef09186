"""Where a finding lies, as closed lines for a structured report: around its mask on the slice of its largest area, or its box."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from casewise.finding import Finding
from casewise.formats.dicom.result_source import ResultSource
from casewise.image import Array, Box
from casewise.reporting.contours import borders, corners

_MOST_POINTS = 1000  # DICOM's explicit length holds 5,461 points in space
_TOLERANCE = 0.25  # pixels that the line may run beside the mask's border
_PIECES, _LEAST_SHARE = 4, 0.25
_SQUARE = 1e-4  # by which rows and columns may lie further apart than the others

Points = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Outline:
    """A closed line in a plane of the image; its last point is its first.

    index : of the slice, 0 of a picture. points : (n, 2), (row, column); the centre of the first pixel is (0, 0).
    """

    index: int
    points: Points

    def in_pixels(self) -> Points:
        """(n, 2), (column, row) as DICOM counts them within a picture: the first pixel's outer corner is (0, 0)."""
        return np.asarray(self.points[:, ::-1] + 0.5)

    def in_space(self, source: ResultSource) -> Points:
        """(n, 3), LPS in mm, of placed planes."""
        plane = source.planes[self.index]
        axes, spacing = np.reshape(plane.orientation or (), (2, 3)), plane.spacing or ()
        down, right = self.points[:, :1] * spacing[0] * axes[1], self.points[:, 1:] * spacing[1] * axes[0]
        return np.asarray(np.asarray(plane.position) + down + right)


def space_of(source: ResultSource) -> str | None:
    """The UID of the frame of reference in which a report's lines are given; None: in the pixels of the pictures.

    They are given in pixels where each picture is a file of its own with square pixels, even if it is placed: OHIF 3.13 draws no
    lines in space on a stack of slices, and misplaces lines in pixels that are not square.
    """
    square = all(plane.frame is None and _is_square(plane.spacing) for plane in source.planes)
    return None if square else source.frame_of_reference


def mask_of(finding: Finding, masks: Mapping[str, Array]) -> Array | None:
    """A finding's mask, by its ``mask_name``; None where it has none, or an empty one."""
    mask = None if finding.mask_name is None else masks.get(finding.mask_name)
    return mask if mask is not None and np.any(mask) else None


def outlines_of(finding: Finding, mask: Array | None) -> tuple[Outline, ...]:
    """Around a finding's mask (row, column[, slice]), else its box; nothing for one without a place.

    Of a mask: the pieces on the slice where it is largest, largest first; four at most, none smaller than a quarter of the largest.
    """
    if mask is not None:
        return around(mask)
    return (rectangle(finding.box),) if finding.box is not None else ()


def around(mask: Array) -> tuple[Outline, ...]:
    """See :func:`outlines_of`. ``mask`` : (row, column[, slice]), not empty."""
    from scipy import ndimage

    index = largest_slice(mask)
    plane = np.asarray(mask if mask.ndim == 2 else mask[..., index], dtype=bool)
    pieces, count = ndimage.label(plane)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    parts = [int(n) for n in np.argsort(-sizes, kind="stable") if sizes[n] >= _LEAST_SHARE * sizes.max()][:_PIECES]
    places = ndimage.find_objects(pieces)
    starts = [np.array([place.start for place in places[n]], np.float64) for n in parts]
    return tuple(Outline(index, _border(pieces[places[n]] == n + 1) + start) for n, start in zip(parts, starts, strict=True))


def rectangle(box: Box) -> Outline:
    """The border of a box; of a volume's on its middle slice."""
    (top, left), (bottom, right) = box.lower[:2], box.upper[:2]
    index = (box.lower[2] + box.upper[2] - 1) // 2 if len(box.lower) == 3 else 0
    points = [(top, left), (top, right), (bottom, right), (bottom, left), (top, left)]
    return Outline(index, np.array(points, np.float64) - 0.5)


def largest_slice(mask: Array) -> int:
    """Where along the last axis of a volume a mask holds most; the middle one of several; 0 of a picture."""
    if mask.ndim == 2:
        return 0
    areas = np.count_nonzero(mask, axis=(0, 1))
    best = np.flatnonzero(areas == areas.max())
    return int(best[len(best) // 2])


def _is_square(spacing: tuple[float, ...] | None) -> bool:
    return spacing is not None and abs(spacing[0] - spacing[1]) <= _SQUARE * spacing[0]


def _border(piece: npt.NDArray[np.bool_]) -> Points:
    """The outer border (n, 2) of a connected piece, as few points as follow it closely."""
    from skimage.measure import approximate_polygon

    longest = corners(max(borders(piece), key=_area))  # the holes are smaller
    line = (np.concatenate([longest, longest[:1]]) - 1) / 2  # from half pixels to pixels, whose middles are whole
    tolerance = _TOLERANCE
    shortened = approximate_polygon(line, tolerance)
    while len(shortened) > _MOST_POINTS:
        tolerance *= 2
        shortened = approximate_polygon(line, tolerance)
    return np.asarray(shortened if len(shortened) >= 4 else line, np.float64)


def _area(line: npt.NDArray[np.int_]) -> float:
    rows, columns = line[:, 0], line[:, 1]
    return abs(float(np.dot(rows, np.roll(columns, -1)) - np.dot(np.roll(rows, -1), columns))) / 2
