"""PC-Net (Wang et al. 2018, arXiv 1710.04043): P-Net for volumes, its blocks' outputs compressed before they are joined."""

from __future__ import annotations

from torch import Tensor, nn

from casewise.models.networks.head import Head
from casewise.models.networks.p_net import joined
from casewise.models.networks.prompts import DEFAULT, check_prompted

_DEPTHS = (2, 2, 3, 3, 3)
_DILATIONS = (1, 2, 4, 8, 16)
_COMPRESSED = 16


class PCNet(nn.Module):
    """Kernels 3×3×3 in the first two blocks and 3×3×1 after; each block's output compressed to 16 channels; block 6 is ``head``.

    Input (N, in_channels + prompts, row, column, slice), any size, the coarsest axis last; output (N, 2, row, column, slice).
    """

    def __init__(self, in_channels: int, out_channels: int, channels: int = 64, prompts: int = len(DEFAULT)) -> None:
        super().__init__()
        self.inputs = in_channels + prompts
        self.blocks, self.compressions = nn.ModuleList(), nn.ModuleList()
        width = self.inputs
        for number, (depth, dilation) in enumerate(zip(_DEPTHS, _DILATIONS, strict=True)):
            through = 3 if number < 2 else 1
            layers: list[nn.Module] = []
            for _ in range(depth):
                padding, dilations = (dilation, dilation, through // 2), (dilation, dilation, 1)
                layers += [nn.Conv3d(width, channels, (3, 3, through), padding=padding, dilation=dilations), nn.ReLU(inplace=True)]
                width = channels
            self.blocks.append(nn.Sequential(*layers))
            self.compressions.append(nn.Sequential(nn.Conv3d(channels, _COMPRESSED, 1), nn.ReLU(inplace=True)))
        self.head = Head(3, _COMPRESSED * len(_DEPTHS), out_channels, hidden=_COMPRESSED)

    def features(self, x: Tensor) -> Tensor:
        """(N, 81, row, column, slice): what ``head`` makes its answer from."""
        check_prompted(x, self.inputs)
        return joined(self.blocks, x, self.compressions)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.head(self.features(x))
        return answer
