"""A first mask from accepted cases where a box was drawn: what filled their objects' boxes fills, laid over, this one's.

A box says where the object lies and how large it is, which is what a registration of whole images would have to find out. What is
left to find is how loosely it was drawn: each side is pulled in until the two crops look most alike. Then each case's crop is bent
until it fits, and the cases vote with weights that differ from place to place, by how well each fits there (locally weighted label
fusion, Artaechevarria 2009; Sabuncu 2010).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from casewise.case import Case, Structure
from casewise.image import Box, Image

Mask = npt.NDArray[np.bool_]

_GRID = {2: (48, 48), 3: (32, 32, 32)}  # on which boxes are laid over each other
_FINE = {2: (64, 64), 3: (32, 32, 32)}  # on which crops are bent
_AROUND = {2: 13, 3: 7}  # places, along each axis, that are compared with one another
_WIDER = 0.15  # of a box's side that is seen beyond it
_STEPS = (0.0, 0.04, 0.08, 0.12, 0.16, 0.2)  # of a side by which it is pulled in
_PASSES = 2
_ALIKE = 0.25  # correlation below which a case has no vote
_AGREED = 0.5  # share of the votes that a voxel of the mask has
_BENDS = 6  # points, along each axis, that are moved
_ROUNDS = 30
_RATE = 0.04  # of half a crop's side
_STIFF = 0.5
_LOCAL = 4.0  # how much more a case's vote counts where it fits


@dataclass(frozen=True, eq=False)
class Vote:
    """mask : (*spatial) bool, where most of the cases see the object. alike : −1…1, how much their crops look like the image's, on
    average over the box and the cases, once they are bent.
    """

    mask: Mask
    alike: float


def box_vote(image: Image, box: Box, cases: Sequence[Case], structure: str) -> Mask | None:
    """(*spatial) bool: the mask of :func:`counted`, or None."""
    vote = counted(image, box, cases, structure)
    return None if vote is None else vote.mask


def counted(image: Image, box: Box, cases: Sequence[Case], structure: str, trust: Sequence[float] | None = None) -> Vote | None:
    """What most of the cases' masks of ``structure``, laid into the box and bent, see in it; None where no case is alike.

    A case's vote counts as much as its crop correlates with the image's, times its ``trust`` (0…1). The image's own channels are
    averaged, as the cases' are.
    """
    grey, drawn, axes = _grey(image), _sides(box), image.spatial_dims
    crops, labels, weights = [], [], []
    for case, trusted in zip(cases, trust if trust is not None else [1.0] * len(cases), strict=True):
        mask = case.label_map([Structure.parse(structure)]) > 0
        own = Box.around(mask)
        if own is None or case.image.spatial_dims != axes:
            continue
        values, theirs = _grey(case.image), _sides(own)
        found, alike = _fitted(grey, drawn, _cut(values, theirs, _GRID[axes]))
        if alike < _ALIKE:
            continue
        seen = _carried(drawn, found, theirs)
        crops.append(_cut(values, seen, _FINE[axes]))
        labels.append(_cut(torch.from_numpy(mask.astype(np.float32)), seen, _FINE[axes], "zeros"))
        weights.append(trusted * alike**2)
    if not weights:
        return None
    fixed = _even(_cut(grey, drawn, _FINE[axes])[None])
    bent, moved = _bent(fixed, _even(torch.stack(crops)), torch.stack(labels))
    near = _local(fixed.expand_as(bent), bent)
    each = torch.tensor(weights).view(-1, *[1] * axes) * torch.exp(_LOCAL * near)
    mask = _laid((each * moved).sum(dim=0) / each.sum(dim=0), box, image.spatial_shape)
    return Vote(mask, float(near.mean())) if mask.any() else None


def _sides(box: Box) -> Tensor:
    return torch.tensor([box.lower, box.upper], dtype=torch.float32)


def _carried(drawn: Tensor, found: Tensor, theirs: Tensor) -> Tensor:
    """(2, axes): the drawn box in a case's own voxels, where ``found`` is what its object's box ``theirs`` was laid over."""
    scale = (theirs[1] - theirs[0]) / (found[1] - found[0])
    return theirs[0] + (drawn - found[0]) * scale


def _fitted(grey: Tensor, drawn: Tensor, crop: Tensor) -> tuple[Tensor, float]:
    """((2, axes) the drawn box with each side pulled in as far as looks most like ``crop``, the correlation there)."""
    grid = tuple(crop.shape)
    best = drawn.clone()
    alike = _correlation(_cut(grey, best, grid), crop)
    lengths = drawn[1] - drawn[0]
    for _ in range(_PASSES):
        for axis in range(drawn.shape[1]):
            for side, sign in ((0, 1.0), (1, -1.0)):
                for step in _STEPS:
                    tried = best.clone()
                    tried[side, axis] = drawn[side, axis] + sign * step * lengths[axis]
                    score = _correlation(_cut(grey, tried, grid), crop)
                    if score > alike:
                        best, alike = tried, score
    return best, alike


def _bent(fixed: Tensor, crops: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """(crops, labels), each (cases, *grid), bent smoothly until the crops correlate, place by place, with ``fixed`` (1, *grid)."""
    axes, count = crops.ndim - 1, len(crops)
    fixed = fixed.expand_as(crops)
    straight = functional.affine_grid(
        torch.eye(axes, axes + 1).expand(count, -1, -1), [count, 1, *fixed.shape[1:]], align_corners=False
    )
    mode = "bilinear" if axes == 2 else "trilinear"
    with torch.enable_grad():
        bends = torch.zeros(count, axes, *[_BENDS] * axes, requires_grad=True)
        optimizer = torch.optim.Adam([bends], lr=_RATE)

        def places() -> Tensor:
            field = functional.interpolate(bends, size=fixed.shape[1:], mode=mode, align_corners=True)
            return straight + field.movedim(1, -1)

        for _ in range(_ROUNDS):
            tried = functional.grid_sample(crops[:, None], places(), padding_mode="border", align_corners=False)[:, 0]
            rough = torch.stack([(bends.diff(dim=2 + axis) ** 2).mean() for axis in range(axes)]).sum() * _BENDS**2
            loss = count * (_STIFF * rough - _local(fixed, tried).mean())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        at = places()
        bent = functional.grid_sample(crops[:, None], at, padding_mode="border", align_corners=False)[:, 0]
        return bent, functional.grid_sample(labels[:, None], at, padding_mode="zeros", align_corners=False)[:, 0]


def _local(one: Tensor, other: Tensor) -> Tensor:
    """(cases, *grid): the correlation of two batches of crops around each place."""
    axes = one.ndim - 1
    stacked = torch.stack([one, other, one * one, other * other, one * other], dim=1)
    for axis in range(axes):  # a box's mean is one along each axis in turn
        window = [_AROUND[axes] if n == axis else 1 for n in range(axes)]
        pad = [n // 2 for n in window]
        if axes == 2:
            stacked = functional.avg_pool2d(stacked, window, 1, pad, count_include_pad=False)
        else:
            stacked = functional.avg_pool3d(stacked, window, 1, pad, count_include_pad=False)
    first, second, squares, others, product = stacked.unbind(dim=1)
    spread = (squares - first**2).clamp_min(1e-5) * (others - second**2).clamp_min(1e-5)
    return (product - first * second) / spread.sqrt()


def _even(crops: Tensor) -> Tensor:
    """(cases, *grid) with mean 0 and spread 1 each."""
    flat = crops.flatten(1)
    return ((flat - flat.mean(dim=1, keepdim=True)) / flat.std(dim=1, keepdim=True).clamp_min(1e-6)).view_as(crops)


def _cut(values: Tensor, sides: Tensor, grid: tuple[int, ...], beyond: str = "border") -> Tensor:
    """(*grid): what lies in the box ``sides`` (2, axes) and a little around it; beyond the image its border, or ``zeros``."""
    margin = _WIDER * (sides[1] - sides[0])
    low, high = sides[0] - margin, sides[1] + margin
    count = torch.tensor(values.shape, dtype=torch.float32)
    theta = torch.cat([torch.diag((high - low) / count).flip(0, 1), ((low + high) / count - 1).flip(0)[:, None]], dim=1)
    places = functional.affine_grid(theta[None], [1, 1, *grid], align_corners=False)
    return functional.grid_sample(values[None, None], places, padding_mode=beyond, align_corners=False)[0, 0]


def _laid(shares: Tensor, box: Box, shape: tuple[int, ...]) -> Mask:
    """(*shape): ``shares`` (*grid), of the box and a little around it, cut at the half within the box."""
    places = torch.zeros(1, shares.ndim, shares.ndim + 1)
    for axis in range(shares.ndim):
        places[0, axis, axis] = 1 / (1 + 2 * _WIDER)
    grid = functional.affine_grid(places, [1, 1, *box.shape], align_corners=False)
    inside = functional.grid_sample(shares[None, None], grid, padding_mode="border", align_corners=False)[0, 0]
    mask = np.zeros(shape, bool)
    mask[box.slices] = inside.numpy() > _AGREED
    return mask


def _correlation(one: Tensor, other: Tensor) -> float:
    first, second = one - one.mean(), other - other.mean()
    return float((first * second).sum() / (first.norm() * second.norm()).clamp_min(1e-6))


def _grey(image: Image) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.array.mean(axis=0, dtype=np.float32)))
