"""A classifier of pictures on the shared encoder: what is seen in each place, weighed by how much it looks like a lesion."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from casewise.models.networks.efficient_net import DEVIATION, MIDDLE, STAGES, OnShared

TAPS = (3, 4, 5, 6)  # stages whose outputs are what is known of a place; the coarser are repeated on the grid of the finest
CHANNELS = sum(STAGES[stage].channels for stage in TAPS)
_LEAST = 1e-6


class Attended(OnShared):
    """Input (N, 1, rows, columns), 0 to 1; output (N, classes) logits, the mean over the picture and its mirror image.

    ``attention`` gives the log-odds that a place lies in a lesion, learnt from masks; ``head`` weighs the mean and the spread of
    each channel over the places, each weighted by the square of that probability (attention pooling, Ilse 2018, with an attention
    that is supervised).
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.attention = nn.Conv2d(CHANNELS, 1, 1)
        self.head = nn.Linear(2 * CHANNELS, classes)

    def forward(self, x: Tensor) -> Tensor:
        answers = [self.head(self.cues(self.places(picture))) for picture in (x, x.flip(3))]
        mean: Tensor = (answers[0] + answers[1]) / 2
        return mean

    def places(self, x: Tensor) -> Tensor:
        """(N, ``CHANNELS``, rows / 16, columns / 16): what the encoder sees."""
        levels = self.encoder.levels_of((x - MIDDLE) / DEVIATION)
        size = levels[TAPS[0]].shape[2:]
        return torch.cat([functional.interpolate(levels[stage].float(), size) for stage in TAPS], dim=1)

    def cues(self, places: Tensor) -> Tensor:
        """(N, 2 × ``CHANNELS``): mean and spread over the places, weighed."""
        weights = self.attention(places).sigmoid().square()
        total = weights.sum(dim=(2, 3)).clamp_min(_LEAST)
        mean = (places * weights).sum(dim=(2, 3)) / total
        variance = ((places - mean[:, :, None, None]).square() * weights).sum(dim=(2, 3)) / total
        return torch.cat([mean, variance.clamp_min(0).sqrt()], dim=1)
