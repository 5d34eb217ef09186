"""Where a structured report's coordinates lie on an image: a mask where they enclose something, and a box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.errors import CasewiseError
from casewise.formats.dicom.elements import text
from casewise.formats.dicom.measurement_report import Place
from casewise.formats.dicom.origin import headers_of, origin
from casewise.image import Box, Image

_LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])
_COPLANAR = 0.5  # of a slice
_EDGE = 1e-2  # of a voxel that a line at its edge may reach over, for coordinates in space are rounded
_FAR = 2**30  # pixels; beyond any image
Mask = npt.NDArray[np.bool_]
Points = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Drawn:
    """mask : (*spatial) bool, None where nothing is enclosed. box : None where the places say nothing of this image."""

    mask: Mask | None = None
    box: Box | None = None


class ReportPlaces:
    """An image read from DICOM, as the places of reports refer to it. Raises CasewiseError where its planes cannot be found."""

    def __init__(self, image: Image) -> None:
        self._image = image
        planes = origin(image)
        self._slices = {(plane.instance, plane.frame): number for number, plane in enumerate(planes)}
        self._frame_of_reference = text(headers_of(planes)[0], "FrameOfReferenceUID")

    def drawn(self, places: Sequence[Place]) -> Drawn:
        """All the places together. What encloses something counts alone where anything does: a line within is a measure's.

        A pixel or voxel is inside where its centre is. Places on other images, and beyond the edge, are passed over.
        """
        own = [found for place in places if (found := self._own(place)) is not None]
        masks = [mask for place, points in own if (mask := self._mask(place, points)) is not None]
        if masks:
            mask = np.logical_or.reduce(masks)
            return Drawn(mask, Box.around(mask))
        return Drawn(None, self._box([points for _, points in own]))

    def _own(self, place: Place) -> tuple[Place, Points] | None:
        """The place with its points as indices of the image's axes, centres of voxels at whole numbers; None of another image."""
        if len(place.points) == 0:
            return None
        if place.image is None:
            if not self._frame_of_reference or place.frame_of_reference != self._frame_of_reference:
                return None
            homogeneous = np.column_stack([place.points * _LPS_TO_RAS, np.ones(len(place.points))])
            points = (homogeneous @ np.linalg.inv(self._image.affine).T)[:, :3]
            if self._image.spatial_dims == 2:
                return (place, points[:, :2]) if np.abs(points[:, 2]).max() <= _COPLANAR else None
            return place, np.clip(points, -_FAR, _FAR)
        number = self._slice(place)
        if number is None:
            return None
        # The corner of the first pixel is 0\\0, its centre 0.5\\0.5 (DICOM PS3.3 C.18.6.1.1).
        points = np.clip(place.points[:, ::-1], -_FAR, _FAR) - 0.5
        if self._image.spatial_dims == 3:
            points = np.column_stack([points, np.full(len(points), float(number))])
        return place, points

    def _slice(self, place: Place) -> int | None:
        named = place.image
        if named is None:
            return None
        if (named.instance, None) in self._slices:
            return self._slices[named.instance, None]
        frames = named.frames or (1,) * (len(self._slices) == 1)
        found = [self._slices[named.instance, frame - 1] for frame in frames if (named.instance, frame - 1) in self._slices]
        return found[0] if len(found) == 1 else None

    def _mask(self, place: Place, points: Points) -> Mask | None:
        shape = self._image.spatial_shape
        mask: Mask = np.zeros(shape, bool)
        if place.shape == "ELLIPSOID":
            if len(points) != 6 or len(shape) != 3:
                return None
            inside = _in_ellipsoid(points, shape)
        else:
            number = 0 if len(shape) == 2 else round(float(points[:, 2].mean()))
            level = len(shape) == 2 or float(np.abs(points[:, 2] - number).max()) <= _COPLANAR
            if not level or (len(shape) == 3 and not 0 <= number < shape[2]):
                return None
            flat = _area(place, points[:, :2], shape[:2])
            if flat is None:
                return None
            inside = mask
            inside[(..., number) if len(shape) == 3 else ...] = flat
        return inside if inside.any() else None

    def _box(self, found: Sequence[Points]) -> Box | None:
        if not found:
            return None
        corners = np.concatenate(found) + 0.5
        shape = np.asarray(self._image.spatial_shape)
        lower = np.floor(corners.min(0) + _EDGE).astype(np.int64)
        upper = np.maximum(np.ceil(corners.max(0) - _EDGE).astype(np.int64), lower + 1)
        lower, upper = np.clip(lower, 0, shape), np.clip(upper, 0, shape)
        return Box(tuple(map(int, lower)), tuple(map(int, upper))) if (lower < upper).all() else None


def _area(place: Place, points: Points, shape: tuple[int, ...]) -> Mask | None:
    """(row, column) what a flat shape encloses; None for a point, points and an open line."""
    if _is_rectangle(points):
        return None  # a box, and no outline
    if place.shape == "POLYGON" or (place.shape == "POLYLINE" and len(points) > 3 and np.allclose(points[0], points[-1])):
        return polygon(points, shape) if len(points) > 2 else None
    if place.shape == "CIRCLE" and len(points) == 2:
        radius = float(np.linalg.norm(points[1] - points[0]))
        return _in_ellipsoid(points[:1] + radius * np.array([[-1, 0], [1, 0], [0, -1], [0, 1]]), shape)
    if place.shape == "ELLIPSE" and len(points) == 4:
        return _in_ellipsoid(points, shape)
    return None


def _is_rectangle(points: Points) -> bool:
    """Whether a line goes around a box of rows and columns."""
    if len(points) not in (4, 5) or (len(points) == 5 and not np.allclose(points[0], points[4], atol=1e-3)):
        return False
    sides = np.abs(np.roll(points[:4], -1, axis=0) - points[:4]) < 1e-3
    return bool((sides.sum(axis=1) == 1).all() and (sides[:2] == sides[2:]).all())


def polygon(points: Points, shape: tuple[int, ...]) -> Mask:
    """(row, column) bool: pixels whose centres an outline of (row, column) points goes around, by the even-odd rule."""
    rows, columns = shape
    changes = np.zeros((rows, columns + 1), np.int64)
    for (top, left), (bottom, right) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if top == bottom:
            continue
        first, last = (min(max(int(np.ceil(end)), 0), rows) for end in sorted((top, bottom)))
        crossed = np.arange(first, last)
        at = left + ((crossed - top) / (bottom - top)) * (right - left)
        np.add.at(changes, (crossed, np.clip(np.ceil(at), 0, columns).astype(np.int64)), 1)
    return np.asarray(np.cumsum(changes, axis=1)[:, :-1] % 2 == 1)


def _in_ellipsoid(ends: Points, shape: tuple[int, ...]) -> Mask:
    """(*shape) bool of an ellipse or ellipsoid by the ends of its axes, two an axis; empty where an axis has no length."""
    centre = ends.mean(0)
    axes = (ends[1::2] - ends[0::2]) / 2
    mask = np.zeros(shape, bool)
    if abs(float(np.linalg.det(axes))) < 1e-9:
        return mask
    reach = np.sqrt((axes**2).sum(0))
    lower = np.clip(np.floor(centre - reach), 0, shape).astype(int)
    upper = np.clip(np.ceil(centre + reach) + 1, 0, shape).astype(int)
    if (lower >= upper).any():
        return mask
    grid: Any = np.stack(np.meshgrid(*map(np.arange, lower, upper), indexing="ij"), axis=-1)
    inside = (((grid - centre) @ np.linalg.inv(axes)) ** 2).sum(-1) <= 1 + 1e-9
    mask[tuple(map(slice, lower, upper))] = inside
    return mask


def places_of(image: Image) -> ReportPlaces | None:
    """As :class:`ReportPlaces`; None where no place of a report can be found on the image."""
    try:
        return ReportPlaces(image)
    except CasewiseError:
        return None
