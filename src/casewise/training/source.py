"""What gives a training its batches where these depend on the network's own answers."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from torch import Tensor


class Source(Protocol):
    """Makes the batches of one training. ``key`` says what it makes them from; a checkpoint belongs to one."""

    @property
    def key(self) -> str: ...

    def batch(self, step: int, size: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """(x (N, C, *network), target (N, *network) integer, weights of the voxels (N, *network)); ``rng`` is this step's own."""
        ...

    def answered(self, step: int, logits: Tensor) -> None:
        """The network's answer (N, outputs, *network), on the CPU, before the step that this batch leads to."""
        ...
