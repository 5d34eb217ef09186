"""What counts where strokes on the object and strokes on the rest cross, and nothing says which of them is the later one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import hypot
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.errors import UsageError

Flat = npt.NDArray[np.int64]
Widths = npt.NDArray[np.float64]
_CLEARLY = 1.5  # a stroke more than so many times as wide as another is clearly the wider one
_FARTHEST = 16  # voxels to either side: where a stroke reaches farther it counts as this wide
_MOST = 0.5  # of what is marked as one of the two: where more than this is marked as the other too, neither can be believed
_DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))  # in a plane


@dataclass(frozen=True)
class Crossed:
    """How many voxels were marked as the object and as the rest at once.

    decided : of these, where the clearly thinner stroke counts. undecided : of these, which are marked as neither.
    """

    decided: int = 0
    undecided: int = 0

    def __bool__(self) -> bool:
        return bool(self.decided or self.undecided)

    def __add__(self, other: Crossed) -> Crossed:
        return Crossed(self.decided + other.decided, self.undecided + other.undecided)

    @property
    def sentence(self) -> str:
        """For people; empty where nothing crossed."""
        count = self.decided + self.undecided
        if not count:
            return ""
        marked = f"{count} {'voxel was' if count == 1 else 'voxels were'} marked as the object and as the rest at once"
        return f"{marked}: the thinner stroke counts at {self.decided} of them, and neither at {self.undecided}."

    def to_json(self) -> dict[str, Any]:
        """A remark, as in other answers: ``flag``, ``sentence``; and the two counts."""
        return {"flag": "strokes_cross", "sentence": self.sentence, "decided": self.decided, "undecided": self.undecided}


def uncrossed(foreground: Flat, background: Flat, shape: tuple[int, ...]) -> tuple[Flat, Flat, Crossed]:
    """Strokes that came at once, without what both kinds mark: (foreground, background, what was decided).

    foreground, background : (n,) sorted flat indices, each once, into an image of ``shape`` (*spatial; 2 or 3 axes); so are those
    that are returned, and no voxel is in both. What one kind alone marks stays. Of each crossing (a connected part of what both
    mark) the clearly thinner stroke takes all, else it is marked as neither. Exchanging the two exchanges the answer.
    Raises UsageError, one sentence, where more than half of what is marked as one of them is marked as the other too.
    """
    both = np.intersect1d(foreground, background, assume_unique=True)
    if not both.size:
        return foreground, background, Crossed()
    for kind, marked, other in (("foreground", foreground, "background"), ("background", background, "foreground")):
        if both.size > _MOST * marked.size:
            msg = (
                f"More than half of what is marked as {kind} ({both.size} of {marked.size} voxels) is marked as {other} too; "
                f"mark each place as one of the two."
            )
            raise UsageError(msg)
    crossing = _crossings(both, shape)
    fore, back = (_widest(_widths(both, marked, shape), crossing) for marked in (foreground, background))
    to_foreground, to_background = both[back > _CLEARLY * fore], both[fore > _CLEARLY * back]
    decided = to_foreground.size + to_background.size
    return (
        np.setdiff1d(foreground, np.setdiff1d(both, to_foreground), assume_unique=True),
        np.setdiff1d(background, np.setdiff1d(both, to_background), assume_unique=True),
        Crossed(decided, both.size - decided),
    )


def _crossings(both: Flat, shape: tuple[int, ...]) -> Flat:
    """(n,): the number, from 0, of the connected part (also by corners) that each voxel belongs to."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import KDTree

    places = np.stack(np.unravel_index(both, shape), axis=1)
    one, other = KDTree(places).query_pairs(1, p=np.inf, output_type="ndarray").T
    joined = coo_array((np.ones(len(one), np.bool_), (one, other)), (both.size, both.size))
    return np.asarray(connected_components(joined, directed=False)[1], np.int64)


def _widest(widths: Widths, crossing: Flat) -> Widths:
    """(n,): the greatest of the ``widths`` (n,) in the crossing that each voxel belongs to."""
    greatest = np.zeros(crossing.max() + 1)
    np.maximum.at(greatest, crossing, widths)
    return greatest[crossing]


def _widths(both: Flat, marked: Flat, shape: tuple[int, ...]) -> Widths:
    """(n,) in voxels: how wide the stroke is at each voxel of ``both``, by the shortest way across it through that voxel.

    Of a volume, in the plane in which this is most: a stroke that was drawn in one slice is one voxel wide in the other planes.
    """
    found = np.zeros(both.size)
    for plane in combinations(range(len(shape)), 2):
        across = np.full(both.size, np.inf)
        for direction in _DIRECTIONS:
            step = np.zeros(len(shape), np.int64)
            step[list(plane)] = direction
            count = 1 + _run(both, marked, shape, step) + _run(both, marked, shape, -step)
            across = np.minimum(across, count * hypot(*direction))
        found = np.maximum(found, across)
    return found


def _run(both: Flat, marked: Flat, shape: tuple[int, ...], step: Flat) -> Flat:
    """(n,): how many voxels in a row are marked from each voxel of ``both`` on, in the direction of ``step`` (axes,)."""
    count = np.zeros(both.size, np.int64)
    going = np.arange(both.size)
    places = np.stack(np.unravel_index(both, shape), axis=1)
    for _ in range(_FARTHEST):
        places = places + step
        inside = ((places >= 0) & (places < shape)).all(axis=1)
        going, places = going[inside], places[inside]
        flat = np.ravel_multi_index(tuple(places.T), shape)
        held = marked[np.minimum(np.searchsorted(marked, flat), marked.size - 1)] == flat
        going, places = going[held], places[held]
        if not going.size:
            break
        count[going] += 1
    return count
