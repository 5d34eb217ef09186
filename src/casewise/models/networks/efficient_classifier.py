"""A classifier of pictures on EfficientNet-Lite0: it can begin with what was learnt on photographs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from casewise.models.networks.efficient_net import DEVIATION, MIDDLE, STAGES, EfficientNetLite

_POOLED = (4, 5, 6)  # stages whose outputs are pooled: parts of anatomy, and what they make together


class EfficientClassifier(nn.Module):
    """Input (N, in_channels, rows, columns) of values from 0 to 1; output (N, classes) logits.

    ``head`` takes the means of the last three stages' outputs, so that what is small and what is large both count.
    """

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__()
        self.encoder = EfficientNetLite(in_channels)
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(sum(STAGES[stage].channels for stage in _POOLED), classes)

    def forward(self, x: Tensor) -> Tensor:
        levels = self.encoder.levels_of((x - MIDDLE) / DEVIATION)
        pooled = torch.cat([levels[stage].mean(dim=(2, 3)) for stage in _POOLED], dim=1)
        answer: Tensor = self.head(self.dropout(pooled))
        return answer

    def pretrained(self) -> EfficientClassifier:
        """The same with the encoder's weights learnt on photographs (:meth:`EfficientNetLite.pretrained`)."""
        self.encoder.pretrained()
        return self
