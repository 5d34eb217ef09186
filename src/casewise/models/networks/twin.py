"""A classifier of crops in two branches: fine pixels around a place, and the whole image, reduced, around the same place."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from casewise.errors import ModelError

BRANCHES = ("reduced", "native", "both")
_REDUCTION = 4
_MIDDLE, _GAIN = 0.5, 4.0  # of the input: what lies outside and what is even becomes 0, contrast about 1


class Twin(nn.Module):
    """Input (N, 2, rows, columns): fine pixels; the reduced image, each of its pixels shown as 4 × 4. Output (N, classes) logits.

    branch : ``native`` sees the fine pixels through a learnt stem of stride 4; ``reduced`` sees means of 4 × 4 of them (an image
    of 2048 pixels reduced to 512) through as many weights but the stem's; ``both`` has a second branch for the reduced image.
    Everything after the stem is the same, so that the three can be compared.
    """

    def __init__(self, classes: int, channels: Sequence[int] = (16, 24, 40, 64), branch: str = "both") -> None:
        super().__init__()
        if branch not in BRANCHES:
            msg = f"A twin network's branch is one of {', '.join(BRANCHES)}; given was {branch!r}."
            raise ModelError(msg)
        self.branch = branch
        self.pool = nn.AvgPool2d(_REDUCTION)
        if branch == "reduced":
            self.stem: nn.Module = nn.Conv2d(1, channels[0], 3, padding=1)
        else:
            self.stem = nn.Conv2d(1, channels[0], 8, stride=_REDUCTION, padding=2)
        self.fine = _body(channels)
        self.wide = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), *_body((8, 16, 24, 32))) if branch == "both" else None
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(2 * channels[-1] + (64 if branch == "both" else 0), classes)

    def forward(self, x: Tensor) -> Tensor:
        x = (x - _MIDDLE) * _GAIN
        fine = x[:, :1]
        features = [_pooled(self.fine(self.stem(self.pool(fine) if self.branch == "reduced" else fine)))]
        if self.wide is not None:
            features.append(_pooled(self.wide(self.pool(x[:, 1:2]))))
        return self.head(self.dropout(torch.cat(features, dim=1)))


class Twins(nn.Module):
    """Several twins whose answers are averaged: logits are the logarithm of the members' mean probability."""

    def __init__(self, members: int, classes: int, channels: Sequence[int], branch: str) -> None:
        super().__init__()
        self.members = nn.ModuleList(Twin(classes, channels, branch) for _ in range(members))

    def forward(self, x: Tensor) -> Tensor:
        chances = torch.stack([member(x).softmax(dim=1) for member in self.members]).mean(dim=0)
        return chances.clamp_min(1e-7).log()


def _pooled(features: Tensor) -> Tensor:
    flat = features.flatten(2)
    return torch.cat([flat.mean(dim=2), flat.amax(dim=2)], dim=1)


def _body(channels: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = [nn.ReLU(inplace=True)]
    for inputs, outputs in pairwise(channels):
        layers += [
            nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False),
            nn.GroupNorm(4, outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.GroupNorm(4, outputs),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
