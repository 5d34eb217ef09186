"""Regression network for lesions: a map first, then a network that takes images and map and gives a score."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from casewise.models.networks.lesion_localiser import Localiser
from casewise.models.networks.lesion_parts import LesionAnswer, MapClassifier


class Regression(nn.Module):
    """Input (N, sequences, row, column), a missing sequence 0 everywhere; see :class:`LesionAnswer`, whose verdict is the logit of
    a score from 0 to 1. told_by, mapped : as of :class:`casewise.models.networks.lesion_multitask.MultiTask`.
    """

    def __init__(self, sequences: int, channels: Sequence[int], patch: int, told_by: Sequence[int], mapped: bool) -> None:
        super().__init__()
        self.mapped = mapped
        self.localiser = Localiser(sequences, 1, channels, patch)
        self.classifier = MapClassifier(told_by, 1, channels, patch)

    def forward(self, x: Tensor) -> LesionAnswer:
        if not self.mapped:
            return LesionAnswer(None, self.classifier(x, None))
        logits: Tensor = self.localiser(x)[:, 0]
        return LesionAnswer(logits, self.classifier(x, logits))
