"""P-Net (Wang et al. 2018, arXiv 1710.04043): dilated convolutions at full resolution, all blocks' outputs joined for the last."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from casewise.models.networks.head import Head
from casewise.models.networks.prompts import DEFAULT, check_prompted

_DEPTHS = (2, 2, 3, 3, 3)
_DILATIONS = (1, 2, 4, 8, 16)


class PNet(nn.Module):
    """Five blocks of 2, 2, 3, 3, 3 convolutions 3×3, dilation 1, 2, 4, 8, 16, without pooling; block 6 is ``head``.

    Input (N, in_channels + prompts, row, column), any size; output (N, 2, row, column). Wang et al. 2018 give the network the image
    alone and uses the strokes to tune it; the prompts are casewise's addition, the same for each interactive network.
    """

    def __init__(self, in_channels: int, out_channels: int, channels: int = 64, prompts: int = len(DEFAULT)) -> None:
        super().__init__()
        self.inputs = in_channels + prompts
        self.blocks = nn.ModuleList()
        width = self.inputs
        for depth, dilation in zip(_DEPTHS, _DILATIONS, strict=True):
            layers: list[nn.Module] = []
            for _ in range(depth):
                layers += [nn.Conv2d(width, channels, 3, padding=dilation, dilation=dilation), nn.ReLU(inplace=True)]
                width = channels
            self.blocks.append(nn.Sequential(*layers))
        self.head = Head(2, channels * len(_DEPTHS), out_channels, hidden=channels)

    def features(self, x: Tensor) -> Tensor:
        """(N, 5 · channels + 1, row, column): what ``head`` makes its answer from."""
        check_prompted(x, self.inputs)
        return joined(self.blocks, x)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.head(self.features(x))
        return answer


def joined(blocks: nn.ModuleList, x: Tensor, compressions: Sequence[nn.Module] | nn.ModuleList = ()) -> Tensor:
    """Each block's output, compressed where there is something to compress it with, and the last input channel."""
    passed, outputs = x[:, -1:], []
    for number, block in enumerate(blocks):
        x = block(x)
        outputs.append(compressions[number](x) if len(compressions) else x)
    return torch.cat([*outputs, passed], dim=1)
