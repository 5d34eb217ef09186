"""A simulated user: strokes along the middle of what is still wrong. Trains interactive models and measures them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from casewise.image import Box

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Hand:
    """How strokes are drawn. length : voxels of the middle line that are kept. thickness : voxels, across the stroke."""

    length: int = 25
    thickness: int = 1


def stroke(truth: Mask, mask: Mask, hand: Hand, spacing: Sequence[float] | None = None) -> tuple[Mask, bool] | None:
    """(stroke (*spatial), whether it marks the foreground) on the largest error; None where nothing is wrong.

    Of all missed and all surplus voxels the largest face-connected component (a tie counts as missed); in a volume the slice across
    its coarsest axis where that is largest, and there its largest part. The stroke follows the middle and never leaves the error.
    """
    missed, surplus = largest(truth & ~mask), largest(mask & ~truth)
    if not missed.any() and not surplus.any():
        return None
    foreground = int(missed.sum()) >= int(surplus.sum())
    error = missed if foreground else surplus
    if error.ndim == 2:
        return middle_line(error, hand), foreground
    axis = int(np.argmax(spacing)) if spacing is not None else error.ndim - 1
    place = int(np.argmax(error.sum(axis=tuple(other for other in range(3) if other != axis))))
    drawn = np.zeros_like(error)
    index = tuple(place if other == axis else slice(None) for other in range(3))
    drawn[index] = middle_line(largest(error[index]), hand)
    return drawn, foreground


def largest(mask: Mask) -> Mask:
    """The largest face-connected component; the first of equal ones."""
    from scipy.ndimage import label

    labels, count = label(mask)
    if count < 2:
        return mask
    chosen: Mask = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    return chosen


def middle_line(region: Mask, hand: Hand) -> Mask:
    """(row, column): the middle ``hand.length`` voxels of the region's longest centre line, drawn thick within the region."""
    from scipy.ndimage import binary_dilation
    from skimage.morphology import skeletonize

    window = (Box.around(region) or Box.whole(region.shape)).slices
    inside = np.pad(region[window], 1)
    path = _longest_path(skeletonize(inside))
    start = max(0, (len(path) - hand.length) // 2)
    line = np.zeros_like(inside)
    line[tuple(path[start : start + hand.length].T)] = True
    if hand.thickness > 1:
        square = np.ones((hand.thickness, hand.thickness), bool)
        line = binary_dilation(line, square) & inside
    drawn = np.zeros_like(region)
    drawn[window] = line[1:-1, 1:-1]
    return drawn


def _longest_path(skeleton: Mask) -> npt.NDArray[np.intp]:
    """(n, 2): the voxels between the two ends of a skeleton that lie farthest apart along it, in order."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import dijkstra

    points = np.argwhere(skeleton)
    if len(points) < 3:
        return points
    numbers = np.full(skeleton.shape, -1)
    numbers[tuple(points.T)] = np.arange(len(points))
    starts, ends, lengths = [], [], []
    for step in ((0, 1), (1, 0), (1, 1), (1, -1)):
        there = numbers[points[:, 0] + step[0], points[:, 1] + step[1]]  # the region is padded, so no neighbour lies outside
        found = np.flatnonzero(there >= 0)
        starts.append(found)
        ends.append(there[found])
        lengths.append(np.full(len(found), np.hypot(*step)))
    graph = coo_matrix((np.concatenate(lengths), (np.concatenate(starts), np.concatenate(ends))), shape=(len(points),) * 2).tocsr()
    first = dijkstra(graph, directed=False, indices=0)
    end = int(np.argmax(np.where(np.isfinite(first), first, -1)))
    second, before = dijkstra(graph, directed=False, indices=end, return_predecessors=True)
    place = int(np.argmax(np.where(np.isfinite(second), second, -1)))
    path = [place]
    while place != end:
        place = int(before[place])
        path.append(place)
    return points[path]
