"""The cardiothoracic ratio as a radiologist draws it: the heart's widest line against the thorax's, across the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from casewise.chest.region import HEART, LEFT_LUNG, RIGHT_LUNG, Regions
from casewise.errors import CasewiseError

Mask = npt.NDArray[np.bool_]
_DASHES = 24  # of the midline, from the top of the lungs to their base


@dataclass(frozen=True)
class Line:
    """A straight line along a row or a column of the upright picture. place : of that row or column; start < end along it.

    Coordinates are of pixels' edges: a line from 3 to 5 is two pixels long.
    """

    place: float
    start: float
    end: float

    @property
    def length(self) -> float:
        return self.end - self.start


@dataclass(frozen=True)
class Cardiothoracic:
    """Everything in pixels of the upright picture, whose columns run to the patient's left (where the regions' sides are not known,
    left and right here are only those of a picture as it is usually displayed).

    midline : a column, from the lungs' top to their base. right, left : from the midline to the heart's farthest border on either
    side, each in its own row. thorax : the widest row from the right lung's outer border to the left's.
    """

    midline: Line
    right: Line
    left: Line
    thorax: Line

    @property
    def heart_width(self) -> float:
        """Both distances from the midline together."""
        return self.right.length + self.left.length

    @property
    def ratio(self) -> float:
        return self.heart_width / self.thorax.length


def cardiothoracic(regions: Regions) -> Cardiothoracic:
    """Measure the ratio in the masks of both lungs and the heart.

    The midline is the middle between the lungs' inner borders above the heart, where the mediastinum is narrow.
    Raises CasewiseError where a lung or the heart was not found.
    """
    masks = regions.by_place
    missing = [regions.public(name) for name in (RIGHT_LUNG, LEFT_LUNG, HEART) if name not in masks]
    if missing:
        names = " and ".join(name.replace("_", " ") for name in missing)
        msg = f"The cardiothoracic ratio needs both lungs and the heart; the {names} could not be outlined in this picture."
        raise CasewiseError(msg)
    right_lung, left_lung, heart = (regions.pose.upright(masks[name]) for name in (RIGHT_LUNG, LEFT_LUNG, HEART))
    return measured(np.asarray(right_lung), np.asarray(left_lung), np.asarray(heart))


def measured(right_lung: Mask, left_lung: Mask, heart: Mask) -> Cardiothoracic:
    """The same of masks (row, column) of an upright picture, none of them empty.

    Raises CasewiseError where the lungs share no row, or do not lie side by side in any, as in half a film.
    """
    both = np.asarray(right_lung.any(axis=1) & left_lung.any(axis=1))
    if not both.any():
        msg = "The lungs' outlines share no row, so the thorax cannot be measured across; look at the masks."
        raise CasewiseError(msg)
    middle = _midline(right_lung, left_lung, heart, both)
    held = np.flatnonzero(right_lung.any(axis=1) | left_lung.any(axis=1))
    outer = np.flatnonzero(both)
    starts, ends = _first(right_lung)[outer], _last(left_lung)[outer] + 1
    widest = int(np.argmax(ends - starts))
    if ends[widest] <= starts[widest]:
        msg = "The lungs' outlines do not lie side by side, so the thorax cannot be measured across; look at the masks."
        raise CasewiseError(msg)
    rows = np.flatnonzero(heart.any(axis=1))
    first, last = _first(heart)[rows], _last(heart)[rows] + 1
    rightmost, leftmost = int(np.argmin(first)), int(np.argmax(last))
    return Cardiothoracic(
        Line(middle, float(held[0]), float(held[-1] + 1)),
        Line(float(rows[rightmost]) + 0.5, min(float(first[rightmost]), middle), middle),
        Line(float(rows[leftmost]) + 0.5, middle, max(float(last[leftmost]), middle)),
        Line(float(outer[widest]) + 0.5, float(starts[widest]), float(ends[widest])),
    )


def drawing(found: Cardiothoracic, regions: Regions) -> Mask:
    """(row, column) bool on the image's own grid: the midline dashed, and the three distances as lines of a 500th of its size."""
    shape = regions.pose.upright(next(iter(regions.masks.values()))).shape
    drawn = np.zeros(shape, bool)
    half = max(1, round(max(shape) / 1000))
    for line in (found.right, found.left, found.thorax):
        row = int(line.place)
        drawn[max(0, row - half) : row + half, round(line.start) : round(line.end)] = True
    column = round(found.midline.place)
    edges = np.linspace(found.midline.start, found.midline.end, 2 * _DASHES).round().astype(int)
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        drawn[start : max(end, start + 1), max(0, column - half) : column + half] = True
    return np.ascontiguousarray(regions.pose.back(drawn))


def _midline(right_lung: Mask, left_lung: Mask, heart: Mask, both: npt.NDArray[np.bool_]) -> float:
    above = both.copy()
    above[int(np.flatnonzero(heart.any(axis=1))[0]) :] = False
    rows = np.flatnonzero(above if above.any() else both)
    return float(np.median((_last(right_lung)[rows] + 1 + _first(left_lung)[rows]) / 2))


def _first(mask: Mask) -> npt.NDArray[np.intp]:
    """Column of the first pixel of each row; of no meaning in an empty row."""
    return np.asarray(mask.argmax(axis=1))


def _last(mask: Mask) -> npt.NDArray[np.intp]:
    return np.asarray(mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1))
