"""A small U-Net (Ronneberger 2015) that sees a box, strokes and the former answer beside the image, as ScribblePrompt's does."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from casewise.models.networks.efficient_net import STAGES
from casewise.models.networks.efficient_unet import Encoder
from casewise.models.networks.head import Head
from casewise.models.networks.prompts import DEFAULT, check_prompted

_GROUP = 8  # channels normalised together: a stroke's strength against the image's must survive


class PromptUNet(nn.Module):
    """Input (N, in_channels + prompts, *spatial), rows and columns a multiple of ``2 ** (len(channels) - 1)``; output
    (N, 2, *spatial).

    A volume (row, column, plane) goes through it plane by plane; at all but the finest level each plane is given a part of its
    neighbours, which begins at none: a network for volumes can begin with the weights of one for pictures and answers like it.

    context : width of a level below the deepest one, whose answer is added to that one's. photographs : whether each level is
    given the features of an encoder that was trained on photographs and stays as it is. Both begin at none, so that a network
    without them can be gone on from.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        channels: Sequence[int],
        prompts: int = len(DEFAULT),
        context: int = 0,
        photographs: bool = False,
    ) -> None:
        super().__init__()
        self.inputs = in_channels + prompts
        self.volumes = spatial_dims == 3
        self.pool = nn.MaxPool2d(2)
        inputs = [self.inputs, *channels[:-1]]
        self.encoder = nn.ModuleList(_block(i, o) for i, o in zip(inputs, channels, strict=True))
        self.decoder = nn.ModuleList(_block(low + skip, skip) for skip, low in reversed(list(pairwise(channels))))
        self.head = Head(spatial_dims, channels[0], out_channels)
        self.context = _Context(channels[-1], context) if context else None
        self.photographs = Photographs(in_channels, channels) if photographs else None
        if self.volumes:
            self.through_encoder = nn.ModuleList(_Through(width) for width in channels[1:])
            self.through_decoder = nn.ModuleList(_Through(width) for width in reversed(channels[1:-1]))

    def features(self, x: Tensor) -> Tensor:
        """(N, channels[0] + 1, *spatial): what ``head`` makes its answer from."""
        check_prompted(x, self.inputs)
        passed = x[:, -1:]
        count = x.shape[-1] if self.volumes else 1
        if self.volumes:
            x = x.movedim(-1, 1).flatten(0, 1)
            # A fifth faster on a processor; trained in the usual order, so that a training comes out as it did.
            x = x if self.training else x.contiguous(memory_format=torch.channels_last)
        skips: list[Tensor] = []
        seen = self.photographs(x) if self.photographs is not None else []
        for number, level in enumerate(self.encoder):
            x = level(self.pool(x) if number else x)
            if 0 < number <= len(seen):
                x = x + seen[number - 1]
            if count > 1 and number:
                x = self.through_encoder[number - 1](x, count)
            skips.append(x)
        skips.pop()
        if self.context is not None:
            x = self.context(x)
        for number, (level, skip) in enumerate(zip(self.decoder, reversed(skips), strict=True)):
            x = nn.functional.interpolate(x, size=skip.shape[2:], mode="nearest")
            x = level(torch.cat([skip, x], dim=1))
            if count > 1 and number < len(self.through_decoder):
                x = self.through_decoder[number](x, count)
        if self.volumes:
            x = x.unflatten(0, (-1, count)).movedim(1, -1)
        return torch.cat([x, passed], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.head(self.features(x))
        return answer


class _Context(nn.Module):
    """(N, C, row, column) with what a level of half the rows and columns says of it added."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(2)
        self.level = _block(channels, width)
        self.back = _from_nothing(nn.Conv2d(width, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        below = self.back(self.level(self.pool(x)))
        wider: Tensor = x + nn.functional.interpolate(below, size=x.shape[2:], mode="nearest")
        return wider


class Photographs(nn.Module):
    """What EfficientNet-Lite0's stages see in the image, for each level of a U-Net but the finest; the encoder itself stays."""

    def __init__(self, in_channels: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.images = in_channels
        self.encoder = Encoder(in_channels).requires_grad_(False)
        widths = [stage.channels for stage in STAGES[: len(channels) - 1]]
        self.given = nn.ModuleList(_from_nothing(nn.Conv2d(i, o, 1)) for i, o in zip(widths, channels[1:], strict=True))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Of x (N, inputs, row, column), images first: level 1 at half of the pixels, then the others."""
        with torch.no_grad():
            levels = self.encoder.levels_of(x[:, : self.images])
        return [give(level.detach()) for give, level in zip(self.given, levels, strict=False)]


class _Through(nn.Module):
    """(N · planes, C, row, column) with a part of the two neighbouring planes added to each."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = _from_nothing(nn.Conv2d(2 * channels, channels, 1))

    def forward(self, x: Tensor, planes: int) -> Tensor:
        volume = x.unflatten(0, (-1, planes))
        above = torch.cat([volume[:, :1], volume[:, :-1]], dim=1)
        below = torch.cat([volume[:, 1:], volume[:, -1:]], dim=1)
        both = torch.cat([above, below], dim=2).flatten(0, 1)
        mixed: Tensor = x + self.mix(both)
        return mixed


def _from_nothing(conv: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


def _block(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in (inputs, outputs):
        norm = nn.GroupNorm(max(1, outputs // _GROUP), outputs)
        layers += [nn.Conv2d(width, outputs, 3, padding=1, bias=False), norm, nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
