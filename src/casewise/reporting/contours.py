"""The outline of a mask as an SVG path: crisp at every magnification, at the image's full resolution."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from casewise.image import Array


def outline(mask: Array) -> str:
    """An SVG path (its ``d``) around a mask (rows, columns); ``""`` for an empty one.

    Units are half pixels, x to the right and y down, from the picture's top left corner: pixel (row, column) covers x from
    2·column to 2·column + 2. Straight borders lie exactly between inside and outside; corners are cut at 45°, half
    a pixel from the corner.
    Holes are further closed lines: fill it with the even-odd rule.
    """
    from skimage.measure import find_contours

    mask = np.asarray(mask, dtype=bool)
    if not mask.any():
        return ""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    top, left = int(rows[0]), int(columns[0])
    padded = np.pad(mask[top : rows[-1] + 1, left : columns[-1] + 1], 1).astype(np.uint8)
    lines = find_contours(padded, 0.5, fully_connected="low")
    # The centre of pixel (0, 0) stands at (1, 1) of the padded grid and at half a pixel of the picture.
    corner = 2 * np.array([top, left])
    return "".join(_path(_corners(np.rint(2 * (line - 0.5)).astype(int) + corner)) for line in lines)


def _corners(line: npt.NDArray[np.int_]) -> npt.NDArray[np.int_]:
    """The points (n, 2) of a closed line where it turns; its last point, the repeated first, is dropped."""
    points = line[:-1]
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    return np.asarray(points[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]])


def _path(points: npt.NDArray[np.int_]) -> str:
    rows, columns = points[:, 0], points[:, 1]
    steps = "".join(f"l{dx} {dy}" for dx, dy in zip(np.diff(columns), np.diff(rows), strict=True))
    return f"M{columns[0]} {rows[0]}{steps}z"
