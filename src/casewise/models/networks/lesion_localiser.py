"""The network that draws a lesion map: a U-Net, and beside its features how bright the picture itself is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from casewise.models.networks.unet import UNet

_FEATURES = 12
_HIDDEN = 24
_AROUND = (1, 3, 7)  # pixels across that brightness is averaged over
_MIDDLE, _SPREAD = 0.375, 8.0  # of what the network is given: the mean of a sequence, and how often its deviation goes into 0…1
_RARE = -3.0  # the logit of a lesion to begin with: most pixels are none


class Localiser(UNet):
    """Input (N, sequences, row, column) in 0…1; output (N, outputs, row, column), of which the first are a lesion's logits.

    A U-Net's norms make every slice's features alike in mean and spread, so that they cannot say whether what is brightest in a
    slice is bright at all. Sequences are normalised over the whole brain, and there brightness means something: its values, plain
    and averaged over their surroundings, are taken together with the features, pixel by pixel.
    """

    def __init__(self, sequences: int, outputs: int, channels: Sequence[int], patch: int) -> None:
        super().__init__(2, sequences, _FEATURES, channels, patch)
        self.mixed = nn.Conv2d(_FEATURES + sequences * len(_AROUND), _HIDDEN, 1)
        self.answer = nn.Conv2d(_HIDDEN, outputs, 1)
        with torch.no_grad():
            self.answer.bias[0] = _RARE  # type: ignore[index]

    def forward(self, x: Tensor) -> Tensor:
        return self.drawn(self.encoder.levels_of(x), x)

    def drawn(self, levels: list[Tensor], x: Tensor) -> Tensor:
        """The output from the encoder's ``levels_of`` x, and x."""
        bright = (x - _MIDDLE) * _SPREAD
        seen = [functional.avg_pool2d(bright, n, 1, n // 2, count_include_pad=False) for n in _AROUND]
        features = self.decoded(levels, x.shape[2:])
        answer: Tensor = self.answer(functional.leaky_relu(self.mixed(torch.cat([features, *seen], dim=1)), 0.1))
        return answer
