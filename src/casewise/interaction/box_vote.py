"""A first mask from accepted cases where a box was drawn: what filled their objects' boxes fills, laid over, this one's.

A box says where the object lies and how large it is, which is what a registration of whole images would have to find out. What is
left to find is how loosely it was drawn: each side is pulled in until the two crops look most alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from casewise.case import Case, Structure
from casewise.image import Box, Image

Mask = npt.NDArray[np.bool_]

_GRID = {2: (48, 48), 3: (32, 32, 32)}  # on which crops are compared
_WIDER = 0.15  # of a box's side that is seen beyond it
_STEPS = (0.0, 0.04, 0.08, 0.12, 0.16, 0.2)  # of a side by which it is pulled in
_PASSES = 2
_ALIKE = 0.25  # correlation below which a case has no vote
_AGREED = 0.5  # share of the votes that a voxel of the mask has


def box_vote(image: Image, box: Box, cases: Sequence[Case], structure: str) -> Mask | None:
    """(*spatial) bool: where most of the cases' masks of ``structure``, laid into the box, see it; None where no case is alike.

    A case's vote counts as much as its crop correlates with the image's. The image's own channels are averaged, as the cases' are.
    """
    if not cases:
        return None
    grey = _grey(image)
    votes, total = torch.zeros(_GRID[image.spatial_dims]), 0.0
    sides = torch.tensor([box.lower, box.upper], dtype=torch.float32)
    for case in cases:
        mask = case.label_map([Structure.parse(structure)]) > 0
        own = Box.around(mask)
        if own is None or case.image.spatial_dims != image.spatial_dims:
            continue
        theirs = torch.tensor([own.lower, own.upper], dtype=torch.float32)
        crop, labels = _cut(_grey(case.image), theirs, _WIDER), _cut(torch.from_numpy(mask.astype(np.float32)), theirs, _WIDER)
        found, alike = _fitted(grey, sides, crop)
        if alike < _ALIKE:
            continue
        # From the pulled-in box back to the drawn one.
        votes += alike**2 * _moved(labels, found, sides)
        total += alike**2
    if not total:
        return None
    return _laid(votes / total, box, image.spatial_shape)


def _fitted(grey: Tensor, drawn: Tensor, crop: Tensor) -> tuple[Tensor, float]:
    """((2, axes) the drawn box with each side pulled in as far as looks most like ``crop``, the correlation there)."""
    best = drawn.clone()
    alike = _correlation(_cut(grey, best, _WIDER), crop)
    lengths = drawn[1] - drawn[0]
    for _ in range(_PASSES):
        for axis in range(drawn.shape[1]):
            for side, sign in ((0, 1.0), (1, -1.0)):
                for step in _STEPS:
                    tried = best.clone()
                    tried[side, axis] = drawn[side, axis] + sign * step * lengths[axis]
                    score = _correlation(_cut(grey, tried, _WIDER), crop)
                    if score > alike:
                        best, alike = tried, score
    return best, alike


def _cut(values: Tensor, sides: Tensor, wider: float) -> Tensor:
    """(*grid): what lies in the box ``sides`` (2, axes) and a little around it; beyond the image its border."""
    low, high = sides[0] - wider * (sides[1] - sides[0]), sides[1] + wider * (sides[1] - sides[0])
    return _sampled(values, low, high, _GRID[values.ndim], "border")


def _moved(labels: Tensor, found: Tensor, drawn: Tensor) -> Tensor:
    """(*grid) of the drawn box: a crop of the box ``found`` where it lies there."""
    count = torch.tensor(labels.shape, dtype=torch.float32)
    low, length = found[0] - _WIDER * (found[1] - found[0]), (1 + 2 * _WIDER) * (found[1] - found[0])
    return _sampled(labels, (drawn[0] - low) / length * count, (drawn[1] - low) / length * count, tuple(labels.shape), "zeros")


def _laid(shares: Tensor, box: Box, shape: tuple[int, ...]) -> Mask | None:
    mode = "bilinear" if shares.ndim == 2 else "trilinear"
    inside = functional.interpolate(shares[None, None], size=box.shape, mode=mode, align_corners=False)[0, 0]
    mask = np.zeros(shape, bool)
    mask[box.slices] = inside.numpy() > _AGREED
    return mask if mask.any() else None


def _sampled(values: Tensor, low: Tensor, high: Tensor, grid: tuple[int, ...], beyond: str) -> Tensor:
    """(*grid): ``values`` between the places ``low`` and ``high`` of their own grid."""
    count = torch.tensor(values.shape, dtype=torch.float32)
    theta = torch.cat([torch.diag((high - low) / count).flip(0, 1), ((low + high) / count - 1).flip(0)[:, None]], dim=1)
    places = functional.affine_grid(theta[None], [1, 1, *grid], align_corners=False)
    return functional.grid_sample(values[None, None], places, padding_mode=beyond, align_corners=False)[0, 0]


def _correlation(one: Tensor, other: Tensor) -> float:
    first, second = one - one.mean(), other - other.mean()
    return float((first * second).sum() / (first.norm() * second.norm()).clamp_min(1e-6))


def _grey(image: Image) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.array.mean(axis=0, dtype=np.float32)))
