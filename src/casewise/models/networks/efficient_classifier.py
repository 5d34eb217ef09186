"""Classifiers of pictures on EfficientNet-Lite0: of weights that are trained further, and on the shared encoder as it is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from casewise.models.networks.efficient_net import DEVIATION, MIDDLE, STAGES, EfficientNetLite, OnShared

_POOLED = (4, 5, 6)  # stages whose outputs are pooled: parts of anatomy, and what they make together
FEATURES = sum(STAGES[stage].channels for stage in _POOLED)


class EfficientClassifier(nn.Module):
    """Input (N, in_channels, rows, columns) of values from 0 to 1; output (N, classes) logits.

    ``head`` takes the means of the last three stages' outputs, so that what is small and what is large both count.
    """

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__()
        self.encoder = EfficientNetLite(in_channels)
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(FEATURES, classes)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.head(self.dropout(_pooled(self.encoder, x)))
        return answer

    def pretrained(self) -> EfficientClassifier:
        """The same with the encoder's weights learnt on photographs (:meth:`EfficientNetLite.pretrained`)."""
        self.encoder.pretrained()
        return self


class SharedClassifier(OnShared):
    """The same on the encoder that comes with casewise, which is not trained: ``head`` is all its weights."""

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__(in_channels)
        self.head = nn.Linear(FEATURES, classes)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.head(_pooled(self.encoder, x))
        return answer


def _pooled(encoder: EfficientNetLite, x: Tensor) -> Tensor:
    """(N, ``FEATURES``)."""
    levels = encoder.levels_of((x - MIDDLE) / DEVIATION)
    return torch.cat([levels[stage].mean(dim=(2, 3)) for stage in _POOLED], dim=1)
