"""Steps that change a tensor's grid, defined as MONAI's transforms of the same purpose are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from torch import Tensor

from casewise.errors import CasewiseError
from casewise.models.steps.moves import Boxed, Move, Resampled, Scaled

_Count = Annotated[int, msgspec.Meta(gt=0)]
_Margin = Annotated[int, msgspec.Meta(ge=0)]
_Length = Annotated[float, msgspec.Meta(gt=0)]


class Spacing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="spacing", tag_field="step"):
    """To voxels of ``mm`` (one an axis), linear, both grids beginning at the first voxel's centre. MONAI: Spacing."""

    mm: tuple[_Length, ...]

    def move(self, x: Tensor, lengths: Sequence[float]) -> Move:
        """From ``x`` (C, *spatial), whose voxels are ``lengths`` mm."""
        return Resampled.to(_shape(x), lengths, self.mm)


class Resize(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="resize", tag_field="step"):
    """To ``size`` voxels whatever the aspect; one number: the longest axis is so long, and the aspect is kept. MONAI: Resize."""

    size: tuple[_Count, ...] | _Count
    mode: Literal["linear", "area", "nearest", "nearest-exact"] = "area"

    def move(self, x: Tensor, lengths: Sequence[float]) -> Move:
        """From ``x`` (C, *spatial)."""
        old, size = _shape(x), self.size
        if isinstance(size, int):
            size = tuple(max(1, round(n * (size / max(old)))) for n in old)
        return Scaled(old, size, self.mode)


class Foreground(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="foreground", tag_field="step"):
    """The smallest box around values above 0, in any channel, and ``margin`` voxels beyond. MONAI: CropForeground.

    within : the box ends where the image does; else what is beyond is 0. divisible : its sides are multiples of this.
    """

    margin: _Margin = 0
    within: bool = True
    divisible: _Count = 1

    def move(self, x: Tensor, lengths: Sequence[float]) -> Move:
        """From ``x`` (C, *spatial). Raises CasewiseError where nothing is above 0."""
        filled, old = (x > 0).any(dim=0), _shape(x)
        if not filled.any():
            raise CasewiseError("Nothing of the image is brighter than what the model takes for empty; give another image.")
        starts, sizes = [], []
        for axis, n in enumerate(old):
            rest = [other for other in range(len(old)) if other != axis]
            places = (filled.any(dim=rest) if rest else filled).nonzero().flatten()
            low, high = int(places[0]) - self.margin, int(places[-1]) + self.margin + 1
            low, high = (max(0, low), min(n, high)) if self.within else (low, high)
            size = -(-(high - low) // self.divisible) * self.divisible
            starts.append(low - (size - (high - low)) // 2)
            sizes.append(size)
        return Boxed(old, tuple(sizes), tuple(starts))


class Pad(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="pad", tag_field="step"):
    """At least ``size`` voxels an axis, or multiples of ``divisible``, with 0 on both sides or (``end``) behind.

    MONAI: SpatialPad, DivisiblePad.
    """

    size: tuple[_Margin, ...] | None = None
    divisible: tuple[_Count, ...] | None = None
    end: bool = False

    def __post_init__(self) -> None:
        if (self.size is None) == (self.divisible is None):
            raise ValueError("a pad has either a size or what its sides are multiples of")

    def move(self, x: Tensor, lengths: Sequence[float]) -> Move:
        """From ``x`` (C, *spatial)."""
        old = _shape(x)
        if self.divisible is not None:
            new = tuple(-(-n // k) * k for n, k in zip(old, self.divisible, strict=True))
        else:
            new = tuple(max(n, k) for n, k in zip(old, self.size or old, strict=True))
        starts = tuple(0 if self.end else -((k - n) // 2) for n, k in zip(old, new, strict=True))
        return Boxed(old, new, starts)


class Centre(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="centre", tag_field="step"):
    """``size`` voxels around the middle, with 0 beyond the image. MONAI: ResizeWithPadOrCrop."""

    size: tuple[_Count, ...]

    def move(self, x: Tensor, lengths: Sequence[float]) -> Move:
        """From ``x`` (C, *spatial)."""
        old = _shape(x)
        starts = [n // 2 - k // 2 if k < n else -((k - n) // 2) for n, k in zip(old, self.size, strict=True)]
        return Boxed(old, self.size, tuple(starts))


def _shape(x: Tensor) -> tuple[int, ...]:
    return tuple(int(n) for n in x.shape[1:])
