"""Random change of a batch: position, shape, resolution and contrast, so that a network learns anatomy and not a scanner.

Written for whole batches of tensors because a refinement has two seconds: one grid sample a batch, no detour over NumPy. Strong
contrast change is what makes a model hold on scanners it never saw (Billot 2023, SynthSeg; Zhang 2020, BigAug).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Augmentation:
    """rotation in degrees, scale and shift as shares, bend as a share of the image (a smooth random displacement); the intensity
    changes are each applied with the chance ``intensity``. ``mirror``: whether left and right may be exchanged.
    """

    rotation: float = 20.0
    scale: float = 0.2
    shift: float = 0.1
    bend: float = 0.03
    intensity: float = 0.5
    mirror: bool = False


_OUTLIERS = 0.01  # share of an image's voxels at either end of its intensities

LEVELS = {
    "none": None,
    "light": Augmentation(rotation=7, scale=0.08, shift=0.05, bend=0.01, intensity=0.25),
    "medium": Augmentation(rotation=12, scale=0.15, shift=0.07, bend=0.02, intensity=0.35),
    "strong": Augmentation(),
}


def augment(
    x: Tensor, maps: list[tuple[Tensor, str]], level: Augmentation, generator: torch.Generator, unit_range: bool = True
) -> tuple[Tensor, list[Tensor]]:
    """Change ``x`` (N, C, *spatial) and move every map (N, *spatial) alike (mode ``nearest`` or ``linear``).

    unit_range : whether intensities lie in 0…1, and 0 lies beyond the image. Others are brought there by each image's range without
        its outliers, and back; what lies beyond is the image's edge, since their 0 may be any grey.
    """
    grid = _grid(x, level, generator)
    beyond = "zeros" if unit_range else "border"
    moved = functional.grid_sample(x, grid, mode="bilinear", padding_mode=beyond, align_corners=False)
    others = []
    for values, mode in maps:
        sampled = functional.grid_sample(
            values[:, None].float(),
            grid,
            mode="nearest" if mode == "nearest" else "bilinear",
            align_corners=False,
        )
        others.append(sampled[:, 0].to(values.dtype))
    return (_intensities if unit_range else _any_intensities)(moved, level, generator), others


def _any_intensities(x: Tensor, level: Augmentation, generator: torch.Generator) -> Tensor:
    """Outliers keep their distance from the range."""
    flat = x.flatten(1)
    step = max(1, flat.shape[1] // 1_000_000)  # a million voxels are enough for the range
    low, high = (
        torch.quantile(flat[:, ::step], share, dim=1).view(-1, *[1] * (x.ndim - 1)) for share in (_OUTLIERS, 1 - _OUTLIERS)
    )
    span = (high - low).clamp_min(1e-6)
    scaled = (x - low) / span
    inside = scaled.clamp(0, 1)
    return (_intensities(inside, level, generator) + scaled - inside) * span + low


def _uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator) * (high - low) + low


def _grid(x: Tensor, level: Augmentation, generator: torch.Generator) -> Tensor:
    n, dims = x.shape[0], x.ndim - 2
    theta = torch.zeros(n, dims, dims + 1)
    scale = 1 + _uniform((n, 1), -level.scale, level.scale, generator)
    stretch = 1 + _uniform((n, dims), -level.scale / 3, level.scale / 3, generator)
    angle = _uniform((n,), -1, 1, generator) * math.radians(level.rotation)
    cos, sin = angle.cos(), angle.sin()
    rotation = torch.eye(dims).repeat(n, 1, 1)
    # In a volume the turn is in the plane of its first two axes (grid_sample counts axes from the last).
    a, b = dims - 2, dims - 1
    rotation[:, a, a], rotation[:, a, b], rotation[:, b, a], rotation[:, b, b] = cos, -sin, sin, cos
    theta[:, :, :dims] = rotation * (scale * stretch)[:, None, :]
    theta[:, :, dims] = _uniform((n, dims), -2 * level.shift, 2 * level.shift, generator)
    if level.mirror:
        # Columns run to the patient's left, and grid_sample counts axes from the last: 0 of a picture's two, 1 of a volume's three.
        theta[:, :, dims - 2] *= torch.where(torch.rand(n, 1, generator=generator) < 0.5, -1.0, 1.0)
    grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
    if level.bend > 0:
        coarse = torch.randn((n, dims, *[5] * dims), generator=generator) * level.bend
        mode = "bicubic" if dims == 2 else "trilinear"
        smooth = functional.interpolate(coarse, size=x.shape[2:], mode=mode, align_corners=False)
        grid = grid + smooth.movedim(1, -1)
    return grid


def _intensities(x: Tensor, level: Augmentation, generator: torch.Generator) -> Tensor:
    n = x.shape[0]
    flat = (n, *[1] * (x.ndim - 1))

    def chosen(share: float = 1.0) -> Tensor:
        return torch.rand(flat, generator=generator) < level.intensity * share

    gamma = torch.exp(_uniform(flat, -0.7, 0.7, generator))
    x = torch.where(chosen(), x.clamp(0, 1) ** gamma, x)
    gain, offset = _uniform(flat, 0.7, 1.3, generator), _uniform(flat, -0.15, 0.15, generator)
    x = torch.where(chosen(), x * gain + offset, x)
    field = torch.randn((n, 1, *[3] * (x.ndim - 2)), generator=generator) * 0.25
    mode = "bicubic" if x.ndim == 4 else "trilinear"
    bias = functional.interpolate(field, size=x.shape[2:], mode=mode, align_corners=False).exp()
    x = torch.where(chosen(), x * bias, x)
    if float(torch.rand((), generator=generator)) < level.intensity / 2:
        x = torch.where(chosen(), _coarser(x, generator), x)
    noise = torch.randn(x.shape, generator=generator) * _uniform(flat, 0, 0.08, generator)
    x = torch.where(chosen(), x + noise, x)
    return x.clamp(0, 1)


def _coarser(x: Tensor, generator: torch.Generator) -> Tensor:
    """A lower resolution, as from a poorer scanner, on the same grid."""
    factor = float(_uniform((), 1.5, 3.0, generator))
    small = [max(4, round(s / factor)) for s in x.shape[2:]]
    mode = "bilinear" if x.ndim == 4 else "trilinear"
    return functional.interpolate(functional.interpolate(x, size=small, mode="area"), size=x.shape[2:], mode=mode)
