"""The outline of a mask as an SVG path: crisp at every magnification, at the image's full resolution."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from casewise.image import Array

Points = npt.NDArray[np.int_]


def outline(mask: Array) -> str:
    """An SVG path (its ``d``) around a mask (rows, columns); ``""`` for an empty one.

    Units are half pixels, x to the right and y down, from the picture's top left corner: pixel (row, column) covers x from
    2·column to 2·column + 2. Straight borders lie exactly between inside and outside; corners are cut at 45°, half
    a pixel from the corner.
    Holes are further closed lines: fill it with the even-odd rule.
    """
    return "".join(_path(corners(line)) for line in borders(mask))


def borders(mask: Array) -> list[Points]:
    """The closed lines (n, 2) around the pieces of a mask (rows, columns) and around their holes, each point (row, column) once.

    Units are half pixels, as of :func:`outline`. Points are the middles of the sides between a pixel inside and one outside.
    Pixels that touch at a corner alone are pieces of their own. The mask lies to the left of a line's way.
    """
    mask = np.asarray(mask, dtype=bool)
    if not mask.any():
        return []
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    top, left = int(rows[0]), int(columns[0])
    inside = np.pad(mask[top : rows[-1] + 1, left : columns[-1] + 1], 1).astype(bool)
    points, following = _sides(inside)
    points += 2 * np.array([top, left]) - 2  # without the frame
    return [points[line] for line in _cycles(following)]


def _sides(inside: npt.NDArray[np.bool_]) -> tuple[Points, list[int]]:
    """(the middle (row, column) of each side between pixels inside and outside, in half pixels of ``inside``; which follows which).

    inside : (rows, columns), with a frame that is outside.
    """
    upright = np.argwhere(inside[:, 1:] != inside[:, :-1])  # between (row, column) and the pixel right of it
    lying = np.argwhere(inside[1:] != inside[:-1])  # between (row, column) and the pixel below it
    ids = np.concatenate([2 * _flat(upright, inside), 2 * _flat(lying, inside) + 1])
    points = np.concatenate([2 * upright + [1, 2], 2 * lying + [2, 1]])
    down, east = inside[upright[:, 0], upright[:, 1] + 1], inside[lying[:, 0], lying[:, 1]]
    after = np.concatenate([_after_upright(inside, upright, down), _after_lying(inside, lying, east)])
    order = np.argsort(ids)
    return points, order[np.searchsorted(ids, after, sorter=order)].tolist()


def _after_upright(inside: npt.NDArray[np.bool_], sides: Points, down: npt.NDArray[np.bool_]) -> Points:
    """Which side comes after each: down where the pixel right of it is inside, else up.

    Of the square of four pixels that the line enters, it leaves by the first side, turning left first, that has one pixel inside.
    """
    row, column = sides[:, 0] - ~down, sides[:, 1]  # the upper left pixel of the square
    # Beside the way: the pixel inside, ahead of it, ahead of the one outside.
    ahead_in = np.where(down, inside[row + 1, column + 1], inside[row, column])
    ahead_out = np.where(down, inside[row + 1, column], inside[row, column + 1])
    left_turn = 2 * _at(inside, row, column + down) + 1
    straight = 2 * _at(inside, row + down, column)
    right_turn = 2 * _at(inside, row, column + ~down) + 1
    return np.where(~ahead_in, left_turn, np.where(~ahead_out, straight, right_turn))


def _after_lying(inside: npt.NDArray[np.bool_], sides: Points, east: npt.NDArray[np.bool_]) -> Points:
    """The same: east where the pixel above is inside, else west."""
    row, column = sides[:, 0], sides[:, 1] - ~east
    ahead_in = np.where(east, inside[row, column + 1], inside[row + 1, column])
    ahead_out = np.where(east, inside[row + 1, column + 1], inside[row, column])
    left_turn = 2 * _at(inside, row + ~east, column)
    straight = 2 * _at(inside, row, column + east) + 1
    right_turn = 2 * _at(inside, row + east, column)
    return np.where(~ahead_in, left_turn, np.where(~ahead_out, straight, right_turn))


def _flat(places: Points, inside: npt.NDArray[np.bool_]) -> Points:
    return _at(inside, places[:, 0], places[:, 1])


def _at(inside: npt.NDArray[np.bool_], row: Points, column: Points) -> Points:
    return np.asarray(row * inside.shape[1] + column)


def _cycles(following: list[int]) -> list[list[int]]:
    seen = [False] * len(following)
    found = []
    for first in range(len(following)):
        line = []
        while not seen[first]:
            seen[first] = True
            line.append(first)
            first = following[first]
        if line:
            found.append(line)
    return found


def corners(points: Points) -> Points:
    """The points (n, 2) of a closed line where it turns."""
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    return np.asarray(points[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]])


def _path(points: Points) -> str:
    rows, columns = points[:, 0].tolist(), points[:, 1].tolist()
    steps = "".join(f"l{x - x0} {y - y0}" for x0, x, y0, y in zip(columns[:-1], columns[1:], rows[:-1], rows[1:], strict=True))
    return f"M{columns[0]} {rows[0]}{steps}z"
