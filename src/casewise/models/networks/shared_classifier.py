"""A classifier of pictures on the shared encoder: a layer fitted to what it sees of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from casewise.models.networks.efficient_net import DEVIATION, MIDDLE, STAGES, OnShared

_POOLED = (4, 5, 6)  # stages whose outputs are pooled: parts of anatomy, and what they make together


class SharedClassifier(OnShared):
    """Input (N, in_channels, rows, columns) of values from 0 to 1; output (N, classes) logits.

    ``head`` takes the means of the last three stages' outputs, so that what is small and what is large both count. It is all the
    weights there are.
    """

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__(in_channels)
        self.head = nn.Linear(sum(STAGES[stage].channels for stage in _POOLED), classes)

    def forward(self, x: Tensor) -> Tensor:
        levels = self.encoder.levels_of((x - MIDDLE) / DEVIATION)
        answer: Tensor = self.head(torch.cat([levels[stage].mean(dim=(2, 3)) for stage in _POOLED], dim=1))
        return answer
