"""Ways from one grid to another and back, each with what it needs to find back: as MONAI's invertible transforms do it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

_ALIKE = 1e-3  # mm, or a share: MONAI leaves an image as it is where lengths differ by no more


class Move(Protocol):
    """A step that changed a tensor's grid."""

    def forward(self, x: Tensor, mode: str) -> Tensor:
        """(C, *old) to (C, *new). mode : ``image``, as the step itself interpolates; ``linear``; ``nearest`` for labels."""
        ...

    def back(self, x: Tensor, mode: str, outside: float) -> Tensor:
        """(K, *new) to (K, *old). mode : ``linear`` (the step's own interpolation) or ``nearest``.

        outside : the first channel's value (background's) where ``new`` holds nothing; the others are 0 there.
        """
        ...


@dataclass(frozen=True)
class Resampled:
    """Voxel k of an axis lies at k · ratio of the other grid: both begin at the same voxel's centre; beyond the end, the last one.

    The grids of MONAI's Spacing (``scale_extent=False``, ``padding_mode="border"``). ratios : new length of a voxel by its old one.
    An image is resampled by MONAI's own layer, in double precision: a step behind may treat 0 otherwise than what rounding makes of
    it (``Normal(nonzero=True)``). What comes back is the same but for rounding, an axis at a time.
    """

    old: tuple[int, ...]
    new: tuple[int, ...]
    ratios: tuple[float, ...]

    @classmethod
    def to(cls, old: tuple[int, ...], lengths: Sequence[float], wanted: Sequence[float]) -> Resampled:
        """To voxels of ``wanted`` mm, from those of ``lengths``."""
        ratios = tuple(want / length for want, length in zip(wanted, lengths, strict=True))
        new = tuple(max(1, round((n - 1) / ratio + 1)) for n, ratio in zip(old, ratios, strict=True))
        alike = all(min(abs(a - b), abs(a / b - 1)) <= _ALIKE for a, b in zip(wanted, lengths, strict=True))
        return cls(old, new, (1.0,) * len(old) if new == old and alike else ratios)

    def forward(self, x: Tensor, mode: str) -> Tensor:
        if mode == "image" and set(self.ratios) != {1.0}:
            return self._by_monai(x)
        return _sampled(x, self.new, self.ratios, mode)

    def back(self, x: Tensor, mode: str, outside: float) -> Tensor:
        return _sampled(x, self.old, tuple(1 / ratio for ratio in self.ratios), mode)

    def _by_monai(self, x: Tensor) -> Tensor:
        from monai.networks.layers import AffineTransform

        resample = AffineTransform(mode="bilinear", padding_mode="border", align_corners=False)
        theta = torch.diag(torch.tensor([*self.ratios, 1.0], dtype=torch.float64))
        resampled: Tensor = resample(x[None].double(), theta, self.new)[0]
        return resampled.float()


@dataclass(frozen=True)
class Scaled:
    """Stretched to another number of voxels over the same extent, as MONAI's Resize. mode : ``linear``, ``area`` or ``nearest``."""

    old: tuple[int, ...]
    new: tuple[int, ...]
    mode: str

    def forward(self, x: Tensor, mode: str) -> Tensor:
        return _interpolated(x, self.new, self.mode if mode == "image" else "nearest-exact" if mode == "nearest" else mode)

    def back(self, x: Tensor, mode: str, outside: float) -> Tensor:
        return _interpolated(x, self.old, mode if mode == "nearest" else self.mode)


@dataclass(frozen=True)
class Boxed:
    """A box of the old grid, which may reach beyond it: ``starts`` of it in old voxels, ``new`` its shape; padded with 0."""

    old: tuple[int, ...]
    new: tuple[int, ...]
    starts: tuple[int, ...]

    def forward(self, x: Tensor, mode: str) -> Tensor:
        return _boxed(x, self.starts, self.new)

    def back(self, x: Tensor, mode: str, outside: float) -> Tensor:
        full = _boxed(x, tuple(-start for start in self.starts), self.old)
        if outside:
            inside = tuple(slice(max(0, start), start + n) for start, n in zip(self.starts, self.new, strict=True))
            first = torch.full_like(full[0], outside)
            first[inside] = full[0][inside]
            full[0] = first
        return full


def _sampled(x: Tensor, shape: tuple[int, ...], ratios: tuple[float, ...], mode: str) -> Tensor:
    for axis, (count, ratio) in enumerate(zip(shape, ratios, strict=True), start=1):
        last = x.shape[axis] - 1
        if count == last + 1 and ratio == 1:
            continue
        places = (torch.arange(count, dtype=torch.float64) * ratio).clamp(0, last)
        if mode == "nearest":
            x = x.index_select(axis, places.round().long())
            continue
        low = places.floor().long()
        share = (places - low).to(x.dtype).view(-1, *[1] * (x.ndim - 1 - axis))
        x = torch.lerp(x.index_select(axis, low), x.index_select(axis, (low + 1).clamp(max=last)), share)
    return x


def _interpolated(x: Tensor, shape: tuple[int, ...], mode: str) -> Tensor:
    if tuple(x.shape[1:]) == shape:
        return x
    if mode == "linear":
        mode = "bilinear" if x.ndim == 3 else "trilinear"
    return functional.interpolate(x[None], size=shape, mode=mode)[0]


def _boxed(x: Tensor, starts: tuple[int, ...], shape: tuple[int, ...]) -> Tensor:
    made = x.new_zeros((x.shape[0], *shape))
    taken, place = [slice(None)], [slice(None)]
    for start, n, old in zip(starts, shape, x.shape[1:], strict=True):
        low, high = max(0, start), max(0, start, min(old, start + n))
        taken.append(slice(low, high))
        place.append(slice(low - start, high - start))
    made[tuple(place)] = x[tuple(taken)]
    return made
