"""An encoder of pictures that is fitted and not trained: what the shared network sees, projected to a few hundred numbers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from casewise.models.networks.efficient_net import DEVIATION, MIDDLE, STAGES, OnShared

GRID, CELLS = 4, 4  # the stage whose output is pooled to a grid, and its cells on either axis: where in the picture something is
MEANS = (3, 4, 5, 6)  # the stages whose outputs are averaged over the picture: what it shows
GRID_FEATURES = STAGES[GRID].channels * CELLS**2
MEAN_FEATURES = sum(STAGES[stage].channels for stage in MEANS)


class Projected(OnShared):
    """Input (N, 3, rows, columns), 0 to 1; output (N, ``dimension``).

    Two parts, each of length 1 around the mean of the images that it was fitted on, so that both count alike in a cosine:
    ``place``, the grid's principal components, and ``kind``, the directions of the means in which kinds of images differ most
    beside how images of one kind do. numbers : of the two.
    """

    def __init__(self, numbers: tuple[int, int]) -> None:
        super().__init__(channels=3)
        self.place = nn.Linear(GRID_FEATURES, numbers[0])
        self.kind = nn.Linear(MEAN_FEATURES, numbers[1])
        self.dimension = sum(numbers)

    def forward(self, x: Tensor) -> Tensor:
        grid, means = self.features(x)
        return torch.cat([functional.normalize(part) for part in (self.place(grid), self.kind(means))], dim=1)

    def features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, ``GRID_FEATURES``) and (N, ``MEAN_FEATURES``): what is projected."""
        levels = self.encoder.levels_of((x - MIDDLE) / DEVIATION)
        grid = functional.adaptive_avg_pool2d(levels[GRID], CELLS).flatten(1)
        return grid, torch.cat([levels[stage].mean(dim=(2, 3)) for stage in MEANS], dim=1)
