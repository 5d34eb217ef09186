"""Registering images to one another: an affine map, then a smooth deformation, coarse to fine, many images at once.

The deformation is a cubic B-spline's (Rueckert et al., IEEE TMI 18(8), 1999), the measure local cross-correlation, the optimiser
Adam.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from casewise.optimizers import Adam

_NOISE = 0.05  # deviations (of 0…1) below this count as noise on an even background, which correlates with nothing
_SMALLEST = 8


@dataclass(frozen=True)
class Level:
    """One level of resolution.

    size : voxels of the longest axis. steps : of the optimiser. intervals : between control points along the longest axis; 0
    for the affine map alone.
    """

    size: int
    steps: int
    intervals: int = 0


@dataclass(frozen=True)
class RegistrationSettings:
    """How images are registered.

    window : voxels an axis over which correlation is local. bending : weight of the deformation's bending energy. rate : Adam's.
    measured : voxels of the longest axis where the final correlation is measured.
    """

    levels: tuple[Level, ...] = (Level(32, 30), Level(32, 15, 6), Level(64, 15, 24))
    window: int = 9
    bending: float = 0.2
    rate: float = 0.02
    measured: int = 128


# Chosen on chest radiographs, and on short-axis heart and hippocampus MR, that benchmarks/similar_cases.py sets apart.
PICTURES = RegistrationSettings()
VOLUMES = replace(PICTURES, window=5, levels=(Level(24, 30), Level(32, 15, 6), Level(64, 15, 24)), measured=64)


@dataclass(frozen=True, eq=False)
class Registered:
    """N images registered to one.

    grid : (N, *spatial, dims) where in each moving image every voxel of the fixed one lies, as torch's ``grid_sample`` takes it
        (last axis first; -1…1 from the first voxel's outer edge to the last's).
    correlation : (N, *spatial) squared local correlation with the fixed image, 0…1.
    """

    grid: Tensor
    correlation: Tensor

    def warp(self, moving: Tensor) -> Tensor:
        """(N, C, *spatial) brought to the fixed image's grid, linear; 0 where it comes from outside."""
        return functional.grid_sample(moving, self.grid, align_corners=False)


def register(fixed: Tensor, moving: Tensor, settings: RegistrationSettings | None = None) -> Registered:
    """Register each of ``moving`` (N, C, *spatial) to ``fixed`` (C, *spatial); float32, intensities in 0…1, 2 or 3 axes.

    Nothing random is drawn, and no image's result depends on the others; the caller's gradients and modes stay as they are.
    """
    settings = settings or (PICTURES if fixed.ndim == 3 else VOLUMES)
    shape = tuple(fixed.shape[1:])
    with torch.inference_mode(mode=False), torch.enable_grad():
        affine = torch.eye(len(shape), len(shape) + 1).repeat(moving.shape[0], 1, 1).requires_grad_()
        splines: list[Tensor] = []
        for level in settings.levels:
            if level.intervals:
                points = [max(1, round(level.intervals * n / max(shape))) + 3 for n in shape]
                splines.append(torch.zeros(moving.shape[0], len(shape), *points, requires_grad=True))
            _descend(fixed, moving, affine, splines, level, settings)
    with torch.no_grad():
        small = _smaller(shape, settings.measured)
        warped = _sample(_resized(moving, small), _grid(affine, splines, small))
        correlation = _correlation(warped, _resized(fixed[None], small).expand_as(warped), settings.window).mean(
            dim=1, keepdim=True
        )
        mode = "bilinear" if len(shape) == 2 else "trilinear"
        correlation = functional.interpolate(correlation, size=shape, mode=mode, align_corners=False)[:, 0]
        return Registered(_grid(affine, splines, shape), correlation)


def _descend(
    fixed: Tensor, moving: Tensor, affine: Tensor, splines: Sequence[Tensor], level: Level, settings: RegistrationSettings
) -> None:
    """Move the affine map, or once there are splines all of these, in place."""
    small = _smaller(tuple(fixed.shape[1:]), level.size)
    source = _resized(moving, small)
    target = _resized(fixed[None], small).expand_as(source)

    def loss() -> Tensor:
        warped = _sample(source, _grid(affine.detach() if splines else affine, splines, small))
        value = -_correlation(warped, target, settings.window).flatten(1).mean(dim=1).sum()
        for spline in splines:
            value = value + settings.bending * _bending(spline)
        return value

    minimise(loss, splines or [affine], settings.rate, level.steps)


def minimise(loss: Callable[[], Tensor], parameters: Sequence[Tensor], rate: float, steps: int) -> None:
    """Move ``parameters`` in place, by Adam."""
    optimiser = Adam(parameters, lr=rate)
    for _ in range(steps):
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()


def _sample(images: Tensor, grid: Tensor) -> Tensor:
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _grid(affine: Tensor, splines: Sequence[Tensor], shape: tuple[int, ...]) -> Tensor:
    """(N, *shape, dims), as :class:`Registered` has it."""
    grid = functional.affine_grid(affine, [affine.shape[0], 1, *shape], align_corners=False)
    for spline in splines:
        field = spline
        for axis, n in enumerate(shape):
            basis = _basis(n, spline.shape[2 + axis] - 3)
            field = torch.tensordot(field, basis, dims=([2], [1]))  # the axis that is done goes last
        grid = grid + field.movedim(1, -1)
    return grid


@lru_cache(maxsize=32)
def _basis(n: int, intervals: int) -> Tensor:
    """(n, intervals + 3): the cubic B-splines' values at the centres of ``n`` voxels."""
    place = (np.arange(n) + 0.5) * intervals / n
    cell = np.minimum(place.astype(int), intervals - 1)
    t = place - cell
    values = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]) / 6
    basis = np.zeros((n, intervals + 3), np.float32)
    for number in range(4):
        basis[np.arange(n), cell + number] = values[number]
    return torch.from_numpy(basis)


def _bending(spline: Tensor) -> Tensor:
    """Bending energy of each deformation's control points, summed over the deformations.

    MONAI's own loss warns at every step with torch 2.9 and later.
    """
    field = spline * (max(spline.shape[2:]) - 3)  # in intervals, whatever their number
    energy = torch.zeros(())
    for first in range(2, field.ndim):
        energy = energy + field.diff(n=2, dim=first).square().flatten(1).mean(dim=1).sum()
        for second in range(first + 1, field.ndim):
            energy = energy + 2 * field.diff(dim=first).diff(dim=second).square().flatten(1).mean(dim=1).sum()
    return energy


def _correlation(first: Tensor, second: Tensor, window: int) -> Tensor:
    """(N, C, *spatial) squared local correlation."""
    correlation: Tensor = -_correlation_loss(first.ndim - 2, window)(first, second)
    return correlation


@lru_cache(maxsize=8)
def _correlation_loss(dims: int, window: int) -> nn.Module:
    with warnings.catch_warnings():  # MONAI warns of deprecated parts of its own when it is imported, which takes seconds
        warnings.simplefilter("ignore")
        from monai.losses import LocalNormalizedCrossCorrelationLoss

    loss: nn.Module = LocalNormalizedCrossCorrelationLoss(dims, window, reduction="none", smooth_dr=_NOISE**2 * window**dims)
    return loss


def _smaller(shape: tuple[int, ...], size: int) -> tuple[int, ...]:
    return tuple(max(min(n, _SMALLEST), min(n, round(n * size / max(shape)))) for n in shape)


def _resized(images: Tensor, shape: tuple[int, ...]) -> Tensor:
    return functional.interpolate(images, size=shape, mode="area")
