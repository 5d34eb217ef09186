"""A U-Net whose contracting half is EfficientNet-Lite0's, for pictures: it can begin with what was learnt on photographs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from casewise.models.networks.efficient_net import DEVIATION, MIDDLE, STAGES, EfficientNetLite
from casewise.models.networks.unet import block

DEEPEST = 5  # stages: beyond them the weights are many and a place of the output sees more than the picture
_SKIPS = (0, 1, 2)  # stages whose outputs the decoder takes, at 1/2, 1/4 and 1/8 of the input


class EfficientUNet(nn.Module):
    """Input (N, in_channels, rows, columns) of values from 0 to 1; output (N, outputs, rows, columns) logits.

    channels : of the decoder at 1/2, 1/4, 1/8 and 1/16 of the input; its head gives back the pixels one by one.
    The encoder has no norms (they are folded in), the decoder group norms of one channel a group.
    """

    def __init__(self, in_channels: int, outputs: int, channels: Sequence[int] = (16, 32, 48, 96)) -> None:
        super().__init__()
        self.encoder = Encoder(in_channels)
        *finer, deepest = channels
        widths = [STAGES[number].channels for number in _SKIPS]
        self.middle = block(2, STAGES[DEEPEST - 1].channels, deepest)
        below = [*finer[1:], deepest]
        inputs = [low + skip for low, skip in zip(below, widths, strict=True)]
        self.decoder = nn.ModuleList(block(2, i, o) for i, o in reversed(list(zip(inputs, finer, strict=True))[1:]))
        # One convolution at the finest level: there it takes a third of the whole network's time.
        self.decoder.append(nn.Sequential(*list(block(2, inputs[0], finer[0]).children())[:3]))
        self.head = nn.ConvTranspose2d(finer[0], outputs, 2, stride=2)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor) -> Tensor:
        return self.decoded(self.encoder.levels_of(x), x.shape[2:])

    def decoded(self, levels: list[Tensor], shape: torch.Size) -> Tensor:
        """Logits (N, outputs, *shape) from the encoder's ``levels_of`` an input of that shape."""
        x = self.middle(levels[DEEPEST - 1])
        for level, number in zip(self.decoder, reversed(_SKIPS), strict=True):
            skip = levels[number]
            x = nn.functional.interpolate(x, size=skip.shape[2:], mode="nearest")
            x = level(torch.cat([skip, x], dim=1))
        answer: Tensor = self.head(x)
        return answer[..., : shape[0], : shape[1]]


class Encoder(nn.Module):
    """EfficientNet-Lite0's first :data:`DEEPEST` stages, of values from 0 to 1."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.net = EfficientNetLite(in_channels, DEEPEST)

    def levels_of(self, x: Tensor) -> list[Tensor]:
        """Every stage's output, finest first."""
        return self.net.levels_of((x - MIDDLE) / DEVIATION)

    def forward(self, x: Tensor) -> Tensor:
        return self.levels_of(x)[-1]

    def pretrained(self) -> Encoder:
        """The same with the weights learnt on photographs (:meth:`EfficientNetLite.pretrained`)."""
        self.net.pretrained()
        return self
