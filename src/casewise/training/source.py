"""What gives a training its batches where these depend on the network's own answers, and what it is to lower where no task does."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from torch import Tensor, nn


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


class Objective(Protocol):
    """The loss of a network whose answer is more than one tensor, and how good it is on cases set aside.

    measured : the name of that measure, of which more is better; empty where nothing was set aside.
    """

    @property
    def measured(self) -> str: ...

    def loss(self, answer: object, target: Tensor, spread: Tensor) -> Tensor:
        """Of the network's answer to the last batch of the training's source, with that batch's target and weights."""
        ...

    def measure(self, network: nn.Module) -> float:
        """Of the network as it is, in evaluation mode."""
        ...
