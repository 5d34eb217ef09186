"""Masks from a network's probabilities: one piece a region, without holes, smooth on the picture's own grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch.nn import functional

from casewise.image import Box

Mask = npt.NDArray[np.bool_]
Chances = npt.NDArray[np.float32]
_FINER = 4
_GRAIN = 0.6  # pixels of the network's grid


def smoothed(chances: Chances) -> Chances:
    """Without the grain of single pixels that the network's last layer, two pixels at a time, leaves on borders."""
    return np.asarray(ndimage.gaussian_filter(chances, (0, _GRAIN, _GRAIN)))


def cleaned(chances: Chances) -> Chances:
    """Probabilities (1 + structures, row, column) of which each structure wins in one piece, without holes.

    A smaller piece goes to whatever is the next probable there, and to the background where that would be a piece of its own.
    """
    chances = chances.copy()
    for hopeless in (False, True):
        for number in range(1, len(chances)):
            own = chances.argmax(axis=0) == number
            if not own.any():
                continue
            kept = largest_piece(own, chances[number])
            apart = own & ~kept
            chances[number, apart] = 0
            if hopeless:
                chances[1:, apart] = 0
            chances[0, apart] = np.maximum(chances[0, apart], 1e-6)
            hole = ndimage.binary_fill_holes(kept) & ~kept
            chances[:, hole] = 0
            chances[number, hole] = 1
    return np.asarray(chances / chances.sum(axis=0, keepdims=True))


def largest_piece(mask: Mask, weight: npt.NDArray[np.float32] | None = None) -> Mask:
    """The connected piece of ``mask`` (row, column; not empty) with most pixels, or of the largest sum of ``weight``."""
    pieces, count = ndimage.label(mask)
    if count == 1:
        return mask
    sizes = np.bincount(pieces.ravel(), None if weight is None else weight.ravel().astype(np.float64))
    return np.asarray(pieces == 1 + int(np.argmax(sizes[1:])))


def on_grid(chances: Chances, shape: Sequence[int]) -> list[Mask]:
    """The structures' masks on a grid of ``shape``: probabilities are interpolated, so that borders stay smooth.

    By cubics up to ``_FINER`` times the network's grid, by lines from there on: to the eye the same, at a fraction of the time.
    """
    size = (int(shape[0]), int(shape[1]))
    fine = torch.from_numpy(np.ascontiguousarray(chances))[None]
    between = (min(size[0], _FINER * fine.shape[2]), min(size[1], _FINER * fine.shape[3]))
    if between[0] > fine.shape[2] and between[1] > fine.shape[3]:
        fine = functional.interpolate(fine, size=between, mode="bicubic", align_corners=False)
    shrinks = any(new < old for new, old in zip(size, fine.shape[2:], strict=True))
    fine = functional.interpolate(fine, size=size, mode="bilinear", align_corners=False, antialias=shrinks)[0]
    winner = fine.max(dim=0).indices.to(torch.uint8).numpy()
    return [_one_piece(winner == number) for number in range(1, len(chances))]


def _one_piece(mask: Mask) -> Mask:
    box = Box.around(mask)
    if box is None:
        return mask
    found = np.zeros_like(mask)
    found[box.slices] = largest_piece(mask[box.slices])
    return found


def hidden_lung(heart: Mask, lungs: Sequence[Mask]) -> Mask:
    """Where the heart lies in front of lung: its part within the convex outline of either lung.

    The lungs' masks leave the heart's shadow out, although lung lies behind it; a lung's convex outline takes that back in.
    """
    hidden = np.zeros_like(heart)
    for lung in lungs:
        hidden |= filled_outline(lung)
    return hidden & heart


def full_lungs(right: Mask, left: Mask, heart: Mask) -> tuple[Mask, Mask]:
    """(right, left) lung fields of an upright picture with what lies behind the heart, as sources draw a lung that leave it in.

    A lung reaches behind the heart to about the spine's edge. The field shows that where it comes nearest to the middle, beside the
    trachea or the aortic arch: the heart's shadow outward of that column, down to the lung's lowest row, is given to the lung. What
    the rest of the mediastinum and the diaphragm hide leaves no trace in the fields and stays out. The two never meet.
    """
    inner_right, inner_left = (int(np.flatnonzero(mask.any(axis=0))[place]) for mask, place in ((right, -1), (left, 0)))
    if inner_right >= inner_left:
        inner_right, inner_left = (middle := (inner_right + inner_left) // 2), middle + 1
    found = []
    for lung, behind in ((right, np.s_[:, : inner_right + 1]), (left, np.s_[:, inner_left:])):
        full = lung.copy()
        lowest = int(np.flatnonzero(lung.any(axis=1))[-1])
        full[behind] |= heart[behind] & (np.arange(len(heart)) <= lowest)[:, None]
        found.append(_touching(full, lung))
    return found[0], found[1]


def _touching(mask: Mask, seed: Mask) -> Mask:
    """The pieces of ``mask`` that hold a pixel of ``seed``, which lies within it and is not empty."""
    box = Box.around(mask)
    found = np.zeros_like(mask)
    if box is not None:
        pieces, _ = ndimage.label(mask[box.slices])
        found[box.slices] = np.isin(pieces, np.unique(pieces[seed[box.slices]]))
    return found


def filled_outline(mask: Mask) -> Mask:
    """The convex hull of ``mask`` (row, column), filled; an empty or a straight one stays as it is."""
    from PIL import Image as Pillow
    from PIL import ImageDraw
    from scipy.spatial import ConvexHull, QhullError

    rows = np.flatnonzero(mask.any(axis=1))
    held = mask[rows]
    first, last = held.argmax(axis=1), mask.shape[1] - 1 - held[:, ::-1].argmax(axis=1)
    points = np.concatenate([np.stack([first, rows], axis=1), np.stack([last, rows], axis=1)])
    try:
        hull = points[ConvexHull(points).vertices]
    except (QhullError, ValueError):  # fewer than three points, or all in one line
        return mask
    picture = Pillow.new("1", (mask.shape[1], mask.shape[0]))
    ImageDraw.Draw(picture).polygon([(int(x), int(y)) for x, y in hull], fill=1)
    return np.asarray(picture)
