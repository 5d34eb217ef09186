"""Registration of crops around boxes: a loosely drawn box is fitted, and other crops are bent until they correlate with its own.

A box says where an object lies and how large it is, which is what a registration of whole images would have to find. What is left
to find is how loosely it was drawn: each side moves in until the two crops are most alike. The deformation that follows is linear
between few control points, the measure local correlation with its sign, the optimiser Adam.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from casewise.registration.batched import minimise

FITTED = {2: (48, 48), 3: (32, 32, 32)}  # the grid on which boxes are laid over each other
FINE = {2: (64, 64), 3: (32, 32, 32)}  # the grid on which crops are bent
_WINDOW = {2: 13, 3: 7}  # places along each axis over which correlation is local
_AROUND = 0.15  # of a box's side that is in the crop beyond it
_STEPS = (0.0, 0.04, 0.08, 0.12, 0.16, 0.2)  # of a side by which it is moved in
_PASSES = 2
_POINTS = 6  # control points along each axis
_ROUNDS = 30
_RATE = 0.04  # of half a crop's side
_STIFFNESS = 0.5


def cut(values: Tensor, sides: Tensor, grid: tuple[int, ...], outside: str = "border") -> Tensor:
    """(*grid) of ``values`` (*spatial): the box ``sides`` and a little around it; outside the image its border, or ``zeros``.

    sides : (2, axes), lower and upper, in voxels from the first one's outer edge.
    """
    margin = _AROUND * (sides[1] - sides[0])
    low, high = sides[0] - margin, sides[1] + margin
    count = torch.tensor(values.shape, dtype=torch.float32)
    theta = torch.cat([torch.diag((high - low) / count).flip(0, 1), ((low + high) / count - 1).flip(0)[:, None]], dim=1)
    places = functional.affine_grid(theta[None], [1, 1, *grid], align_corners=False)
    return functional.grid_sample(values[None, None], places, padding_mode=outside, align_corners=False)[0, 0]


def within(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """(*shape): the way back of a crop's ``values`` (*grid), to the voxels of the box alone."""
    theta = torch.zeros(1, values.ndim, values.ndim + 1)
    for axis in range(values.ndim):
        theta[0, axis, axis] = 1 / (1 + 2 * _AROUND)
    places = functional.affine_grid(theta, [1, 1, *shape], align_corners=False)
    return functional.grid_sample(values[None, None], places, padding_mode="border", align_corners=False)[0, 0]


def fitted(image: Tensor, drawn: Tensor, crop: Tensor) -> tuple[Tensor, float]:
    """((2, axes) ``drawn`` with each side moved in to where ``image`` is most like ``crop`` (*grid), the correlation there)."""
    grid = tuple(crop.shape)
    best = drawn.clone()
    highest = _correlation(cut(image, best, grid), crop)
    lengths = drawn[1] - drawn[0]
    for _ in range(_PASSES):
        for axis in range(drawn.shape[1]):
            for side, sign in ((0, 1.0), (1, -1.0)):
                for step in _STEPS:
                    tried = best.clone()
                    tried[side, axis] = drawn[side, axis] + sign * step * lengths[axis]
                    correlation = _correlation(cut(image, tried, grid), crop)
                    if correlation > highest:
                        best, highest = tried, correlation
    return best, highest


def carried(drawn: Tensor, found: Tensor, other: Tensor) -> Tensor:
    """(2, axes): the drawn box in another image's voxels, where ``found`` in the first is ``other`` there."""
    scale = (other[1] - other[0]) / (found[1] - found[0])
    return other[0] + (drawn - found[0]) * scale


def bend(fixed: Tensor, crops: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """(labels, local correlation), each (N, *grid), once ``crops`` are bent until they correlate with ``fixed`` (*grid).

    Crops are compared with mean 0 and standard deviation 1 each; labels are 0 where they come from outside of their crop.
    """
    fixed, crops = _standardised(fixed[None]).expand_as(crops), _standardised(crops)
    axes, count = crops.ndim - 1, len(crops)
    identity = functional.affine_grid(
        torch.eye(axes, axes + 1).expand(count, -1, -1), [count, 1, *fixed.shape[1:]], align_corners=False
    )
    mode = "bilinear" if axes == 2 else "trilinear"
    with torch.enable_grad():
        bends = torch.zeros(count, axes, *[_POINTS] * axes, requires_grad=True)

        def places() -> Tensor:
            field = functional.interpolate(bends, size=fixed.shape[1:], mode=mode, align_corners=True)
            return identity + field.movedim(1, -1)

        def loss() -> Tensor:
            warped = functional.grid_sample(crops[:, None], places(), padding_mode="border", align_corners=False)[:, 0]
            rough = torch.stack([(bends.diff(dim=2 + axis) ** 2).mean() for axis in range(axes)]).sum() * _POINTS**2
            return count * (_STIFFNESS * rough - local_correlation(fixed, warped).mean())

        minimise(loss, [bends], _RATE, _ROUNDS)
    with torch.no_grad():
        at = places()
        warped = functional.grid_sample(crops[:, None], at, padding_mode="border", align_corners=False)[:, 0]
        moved = functional.grid_sample(labels[:, None], at, padding_mode="zeros", align_corners=False)[:, 0]
        return moved, local_correlation(fixed, warped)


def local_correlation(first: Tensor, second: Tensor) -> Tensor:
    """(N, *grid), −1…1: the correlation of two batches of crops around each place, over what of a window lies in the crop."""
    axes = first.ndim - 1
    stacked = torch.stack([first, second, first * first, second * second, first * second], dim=1)
    for axis in range(axes):  # a window's mean is one along each axis in turn
        window = [_WINDOW[axes] if n == axis else 1 for n in range(axes)]
        pad = [n // 2 for n in window]
        if axes == 2:
            stacked = functional.avg_pool2d(stacked, window, 1, pad, count_include_pad=False)
        else:
            stacked = functional.avg_pool3d(stacked, window, 1, pad, count_include_pad=False)
    one, other, squares, others, product = stacked.unbind(dim=1)
    variances = (squares - one**2).clamp_min(1e-5) * (others - other**2).clamp_min(1e-5)
    return (product - one * other) / variances.sqrt()


def _standardised(crops: Tensor) -> Tensor:
    flat = crops.flatten(1)
    return ((flat - flat.mean(dim=1, keepdim=True)) / flat.std(dim=1, keepdim=True).clamp_min(1e-6)).view_as(crops)


def _correlation(one: Tensor, other: Tensor) -> float:
    first, second = one - one.mean(), other - other.mean()
    return float((first * second).sum() / (first.norm() * second.norm()).clamp_min(1e-6))
