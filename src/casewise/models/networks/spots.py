"""Networks that mark small round findings in a whole image of 0.7 mm a pixel, and what they see on the way.

They learn from findings that were drawn into radiographs (``recipes.drawn_nodules``), so that they know no patient of a set with
real ones, and a detector can take what they see as a further level (:mod:`casewise.models.networks.segment_detector`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = (16, 32, 64, 96)
MEMBERS = 2
RANGE = 3.0  # local deviations that still differ in what they see
FEATURES = MEMBERS * CHANNELS[0] + 1
SHIPPED = Path(__file__).parents[1] / "shipped" / "drawn_nodules"


def trained_on() -> frozenset[str]:
    """Keys of the films that the shipped ones learnt from."""
    return frozenset((SHIPPED / "trained_on.txt").read_text(encoding="utf-8").split())


class SpotNetwork(nn.Module):
    """Input (N, 1, rows, columns) in local standard deviations from the local mean; output (N, outputs, rows, columns) logits.

    A residual U-Net without normalisation, which would take out how strong a contrast is.
    """

    def __init__(self, outputs: int, channels: Sequence[int] = CHANNELS) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, channels[0], 4, stride=2, padding=1)
        self.encoder = nn.ModuleList(Residual(i, o) for i, o in zip((channels[0], *channels[:-1]), channels, strict=True))
        steps = list(reversed(list(pairwise(channels))))
        self.decoder = nn.ModuleList(
            Residual(low + skip, skip, rectified=number + 1 < len(steps)) for number, (skip, low) in enumerate(steps)
        )
        self.head = nn.Conv2d(channels[0], outputs, 1)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a third less time

    def seen(self, x: Tensor) -> Tensor:
        """(N, channels[0], rows / 2, columns / 2), halves rounded up: what its head decides by."""
        x = functional.pad(x.clamp(-RANGE, RANGE), (0, x.shape[3] % 2, 0, x.shape[2] % 2))
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        skips = []
        for number, level in enumerate(self.encoder):
            x = level(functional.max_pool2d(x, 2, ceil_mode=True) if number else x)
            skips.append(x)
        skips.pop()
        for level in self.decoder:
            skip = skips.pop()
            x = functional.interpolate(x, scale_factor=2, mode="nearest")[..., : skip.shape[2], : skip.shape[3]]
            x = level(torch.cat([skip, x], dim=1))
        return x

    def forward(self, x: Tensor) -> Tensor:
        answer = functional.interpolate(self.head(self.seen(x)), scale_factor=2, mode="bilinear", align_corners=False)
        return answer[..., : x.shape[2], : x.shape[3]]


class Residual(nn.Module):
    """Two convolutions beside a way past them; the second begins as nothing.

    rectified : whether what is below 0 is cut off; before the last layer it would be all that distinguishes two faint marks.
    """

    def __init__(self, inputs: int, outputs: int, rectified: bool = True) -> None:
        super().__init__()
        self.rectified = rectified
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.past = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        nn.init.kaiming_normal_(self.first.weight, nonlinearity="relu")
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = self.past(x) + self.second(functional.relu(self.first(x)))
        return functional.relu(x) if self.rectified else x


class SpotNetworks(nn.Module):
    """Several, whose logits are averaged; background is the first of the outputs."""

    def __init__(self, outputs: int, channels: Sequence[int] = CHANNELS, members: int = MEMBERS) -> None:
        super().__init__()
        self.members = nn.ModuleList(SpotNetwork(outputs, channels) for _ in range(members))

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([member(x) for member in self.members]).mean(dim=0)

    def pretrained(self) -> SpotNetworks:
        """The same with the weights learnt on drawn nodules that come with casewise (``shipped/drawn_nodules``)."""
        from safetensors.torch import load_file

        self.load_state_dict(load_file(SHIPPED / "weights.safetensors"))
        return self

    def seen(self, x: Tensor) -> Tensor:
        """(N, members · channels[0] + 1, rows / 2, columns / 2): what each member decides by, and the mean log-odds."""
        members = [cast("SpotNetwork", member) for member in self.members]
        levels = [member.seen(x) for member in members]
        logits = torch.stack([member.head(level) for member, level in zip(members, levels, strict=True)]).mean(dim=0)
        odds = logits[:, 1:].amax(dim=1, keepdim=True) - logits[:, :1]
        return torch.cat([*levels, odds], dim=1)
