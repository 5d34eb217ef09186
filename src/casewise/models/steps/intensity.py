"""Steps that change a tensor's values and leave its grid, defined as MONAI's transforms of the same purpose are."""

from __future__ import annotations

from typing import Annotated

import msgspec
import torch
from torch import Tensor

Bounds = tuple[float, float]


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="range", tag_field="step"):
    """Values ``given`` (lower, upper) become ``to``; ``clip``: those beyond become its ends. MONAI: ScaleIntensityRange."""

    given: Bounds
    to: Bounds = (0.0, 1.0)
    clip: bool = True

    def __post_init__(self) -> None:
        if self.given[0] == self.given[1]:
            raise ValueError("a range's two ends differ")

    def values(self, x: Tensor) -> Tensor:
        """(C, *spatial) float32 of ``x``."""
        (lower, upper), (low, high) = self.given, self.to
        x = (x - lower) / (upper - lower) * (high - low) + low
        return x.clamp(low, high) if self.clip else x


class Extremes(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="extremes", tag_field="step"):
    """The smallest value and the largest become ``to``, those of each channel or of all together. MONAI: ScaleIntensity."""

    to: Bounds = (0.0, 1.0)
    by_channel: bool = False

    def values(self, x: Tensor) -> Tensor:
        """(C, *spatial) float32 of ``x``."""
        return torch.stack([self._of(channel) for channel in x]) if self.by_channel else self._of(x)

    def _of(self, x: Tensor) -> Tensor:
        low, high = x.min(), x.max()
        if low == high:
            return x * self.to[0]
        return (x - low) / (high - low) * (self.to[1] - self.to[0]) + self.to[0]


class Normal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="normal", tag_field="step"):
    """Less the mean, by the standard deviation (1 where it is 0). MONAI: NormalizeIntensity.

    nonzero : of the values that are not 0 alone; 0 stays 0. by_channel : each channel by its own. mean, deviation : given numbers
    in their place, one or (with ``by_channel``) one a channel.
    """

    nonzero: bool = False
    by_channel: bool = False
    mean: tuple[float, ...] | None = None
    deviation: tuple[Annotated[float, msgspec.Meta(ge=0)], ...] | None = None

    def __post_init__(self) -> None:
        if not self.by_channel and any(given is not None and len(given) != 1 for given in (self.mean, self.deviation)):
            raise ValueError("a mean and a deviation a channel are for by_channel")

    def values(self, x: Tensor) -> Tensor:
        """(C, *spatial) float32 of ``x``. Raises ValueError where numbers are given for another count of channels."""
        count = x.shape[0] if self.by_channel else 1
        for given in (self.mean, self.deviation):
            if given is not None and len(given) != count:
                raise ValueError(f"{len(given)} numbers for {count} channels")
        means, deviations = self.mean or (None,) * count, self.deviation or (None,) * count
        if not self.by_channel:
            return self._of(x, means[0], deviations[0])
        return torch.stack([self._of(*channel) for channel in zip(x, means, deviations, strict=True)])

    def _of(self, x: Tensor, mean: float | None, deviation: float | None) -> Tensor:
        chosen = x != 0 if self.nonzero else torch.ones_like(x, dtype=torch.bool)
        if not chosen.any():
            return x
        values = x[chosen].double()
        mean = float(values.mean()) if mean is None else mean
        deviation = float(values.std(unbiased=False)) if deviation is None else deviation
        return torch.where(chosen, (x - mean) / (deviation or 1.0), x)
