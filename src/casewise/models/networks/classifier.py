"""A small convolutional classifier: the U-Net's encoder, pooled, and one linear layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from casewise.models.networks.unet import Encoder


class Classifier(nn.Module):
    """Input (N, in_channels, *spatial); output (N, classes) logits.

    Mean and maximum over the last level are joined, so that a small finding is not averaged away.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        classes: int,
        channels: Sequence[int] = (16, 32, 64, 128),
        patch: int = 1,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(spatial_dims, in_channels, channels, patch)
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(2 * channels[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        features = self.encoder(x).flatten(2)
        answer: Tensor = self.head(self.dropout(torch.cat([features.mean(dim=2), features.amax(dim=2)], dim=1)))
        return answer
