"""A small U-Net (Ronneberger 2015) that sees a box, strokes and the former answer beside the image, as ScribblePrompt's does."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from casewise.models.networks.head import Head
from casewise.models.networks.prompts import PROMPTS, check_prompted

_CONV = {2: nn.Conv2d, 3: nn.Conv3d}
_POOL = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
_GROUP = 8  # channels normalised together: a stroke's strength against the image's must survive


class PromptUNet(nn.Module):
    """Input (N, in_channels + prompts, *spatial), each axis a multiple of ``2 ** (len(channels) - 1)``; output (N, 2, *spatial)."""

    def __init__(self, spatial_dims: int, in_channels: int, out_channels: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.pool = _POOL[spatial_dims](2)
        inputs = [in_channels + len(PROMPTS), *channels[:-1]]
        self.encoder = nn.ModuleList(_block(spatial_dims, i, o) for i, o in zip(inputs, channels, strict=True))
        self.decoder = nn.ModuleList(_block(spatial_dims, low + skip, skip) for skip, low in reversed(list(pairwise(channels))))
        self.head = Head(spatial_dims, channels[0], out_channels)

    def features(self, x: Tensor) -> Tensor:
        """(N, channels[0] + 1, *spatial): what ``head`` makes its answer from."""
        check_prompted(x, self.in_channels)
        skips: list[Tensor] = []
        passed = x[:, -1:]
        for number, level in enumerate(self.encoder):
            x = level(self.pool(x) if number else x)
            skips.append(x)
        skips.pop()
        for level, skip in zip(self.decoder, reversed(skips), strict=True):
            x = nn.functional.interpolate(x, size=skip.shape[2:], mode="nearest")
            x = level(torch.cat([skip, x], dim=1))
        return torch.cat([x, passed], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.head(self.features(x))
        return answer


def _block(spatial_dims: int, inputs: int, outputs: int) -> nn.Sequential:
    conv = _CONV[spatial_dims]
    layers: list[nn.Module] = []
    for width in (inputs, outputs):
        norm = nn.GroupNorm(max(1, outputs // _GROUP), outputs)
        layers += [conv(width, outputs, 3, padding=1, bias=False), norm, nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
