"""A classifier of what surrounds a place, given in polar coordinates; turning the picture does not change its answer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from casewise.errors import ModelError

BRANCHES = {"reduced": (2, 3), "native": (0, 1), "both": (0, 1, 4)}


class Polar(nn.Module):
    """Input (N, 5, rings, sectors) as :func:`casewise.detection.polar.polar` makes it; output (N, classes) logits.

    branch : which of the five channels it sees: ``native`` pixels, the ``reduced`` image's, or ``both``, the native pixels and the
    whole image at low resolution. Sectors are a circle, and are pooled by mean, largest and smallest; rings are not. Nothing is
    normalised, which would take out how strong a contrast is.
    """

    def __init__(self, classes: int, channels: Sequence[int] = (16, 24, 40), branch: str = "both", rings: int = 20) -> None:
        super().__init__()
        if branch not in BRANCHES:
            msg = f"A polar network's branch is one of {', '.join(BRANCHES)}; given was {branch!r}."
            raise ModelError(msg)
        self.seen = list(BRANCHES[branch])
        widths = [len(self.seen), *channels]
        self.levels = nn.ModuleList(nn.Conv2d(i, o, 3, padding=(1, 0)) for i, o in pairwise(widths))
        for _ in channels[1:]:
            rings = (rings + 1) // 2
        self.hidden = nn.Linear(3 * channels[-1] * rings, 48)
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(48, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, self.seen]
        for number, level in enumerate(self.levels):
            if number:
                x = functional.avg_pool2d(x, (2, 1), ceil_mode=True)
            x = functional.relu(level(functional.pad(x, (1, 1, 0, 0), mode="circular")))
        pooled = torch.cat([x.mean(dim=3), x.amax(dim=3), x.amin(dim=3)], dim=1)
        return self.head(self.dropout(functional.relu(self.hidden(self.dropout(pooled.flatten(1))))))


class Polars(nn.Module):
    """Several polar networks whose answers are averaged: logits are the logarithm of the members' mean probability."""

    def __init__(self, members: int, classes: int, channels: Sequence[int], branch: str) -> None:
        super().__init__()
        self.members = nn.ModuleList(Polar(classes, channels, branch) for _ in range(members))

    def forward(self, x: Tensor) -> Tensor:
        chances = torch.stack([member(x).softmax(dim=1) for member in self.members]).mean(dim=0)
        return chances.clamp_min(1e-7).log()
