"""A heat-map detector: a network that marks small findings in segments of a radiograph."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from casewise.errors import ModelError

NATIVE = 16  # channels: a block of 4 × 4 native pixels
BRANCHES = {"reduced": slice(NATIVE, NATIVE + 1), "native": slice(0, NATIVE), "both": slice(0, NATIVE + 1)}


class HeatmapNetwork(nn.Module):
    """Input (N, 17, rows, columns) as :func:`casewise.chest.nodules.views.views` makes it; output (N, outputs, rows, columns)
    logits.

    branch : which of the 17 channels it sees: ``native`` pixels in blocks of 4 × 4, the ``reduced`` whole image, or ``both``. One
    that sees the reduced image alone takes (N, 1, rows, columns) too.
    native : whether it sees native pixels. thresholds : see :func:`heatmap_network`.
    A residual U-Net without normalisation, which would take out how strong a contrast is.
    """

    thresholds: tuple[float, float] = (0.0, 0.0)

    def __init__(self, outputs: int, channels: Sequence[int] = (16, 32, 64, 96), branch: str = "both") -> None:
        super().__init__()
        if branch not in BRANCHES:
            msg = f"A heat-map network has a branch, one of {', '.join(BRANCHES)}; got {branch!r}."
            raise ModelError(msg)
        self.seen = BRANCHES[branch]
        self.native = branch != "reduced"
        self.stem = nn.Conv2d(self.seen.stop - self.seen.start, channels[0], 4, stride=2, padding=1)
        self.encoder = nn.ModuleList(Residual(i, o) for i, o in zip((channels[0], *channels[:-1]), channels, strict=True))
        steps = list(reversed(list(pairwise(channels))))
        self.decoder = nn.ModuleList(
            Residual(low + skip, skip, rectified=number + 1 < len(steps)) for number, (skip, low) in enumerate(steps)
        )
        self.head = nn.Conv2d(channels[0], outputs, 1)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a third less time

    def forward(self, x: Tensor) -> Tensor:
        shape = x.shape[2:]
        x = functional.pad(x if x.shape[1] == 1 and not self.native else x[:, self.seen], (0, shape[1] % 2, 0, shape[0] % 2))
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
        answer = functional.interpolate(self.head(x), scale_factor=2, mode="bilinear", align_corners=False)
        return answer[..., : shape[0], : shape[1]]


class Residual(nn.Module):
    """Two convolutions beside a way past them; the second begins as nothing.

    rectified : whether what is below 0 is cut off; before the last layer it would be all that tells two faint marks apart.
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


class HeatmapEnsemble(nn.Module):
    """Several such networks whose logits are averaged."""

    thresholds: tuple[float, float] = (0.0, 0.0)

    def __init__(self, members: int, outputs: int, channels: Sequence[int], branch: str) -> None:
        super().__init__()
        self.native = branch != "reduced"
        self.members = nn.ModuleList(HeatmapNetwork(outputs, channels, branch) for _ in range(members))

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([member(x) for member in self.members]).mean(dim=0)


def heatmap_network(
    outputs: int,
    channels: Sequence[int],
    branch: str,
    members: int = 1,
    cues: int = 0,
    thresholds: tuple[float, float] = (0.0, 0.0),
) -> nn.Module:
    """One such network or several; with ``cues``, beside it the weights by which its findings are looked at a second time and the
    thresholds (of a film, of a mark) from which they are reported, which its own answers do not depend on
    (:class:`casewise.chest.nodules.false_positive_reduction.FalsePositiveReducer`).
    """
    network: HeatmapNetwork | HeatmapEnsemble
    network = HeatmapEnsemble(members, outputs, channels, branch) if members > 1 else HeatmapNetwork(outputs, channels, branch)
    if cues:
        network.judge = nn.Linear(cues, 1)
        network.thresholds = thresholds
    return network
