"""Networks from outside that end in probabilities, or in an output for each structure, made to answer logits."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from casewise.errors import ModelError

ANSWERS = ("logits", "probabilities", "sigmoid")


def as_logits(network: nn.Module, settings: Mapping[str, object]) -> nn.Module:
    """``network``, wrapped where its settings say ``answers`` other than ``logits`` (softmax still to come, background first)."""
    answers = settings.get("answers", "logits")
    if answers not in ANSWERS:
        msg = f"A network's answers are one of {', '.join(ANSWERS)}; got {answers!r}."
        raise ModelError(msg)
    return network if answers == "logits" else Logits(network, str(answers))


class Logits(nn.Module):
    """Logits (N, 1 + structures or classes[, *spatial]) from a network ``inner`` that answers otherwise.

    ``probabilities``: their logarithm; one output alone is the structure's, the rest is background's.
    ``sigmoid``: one output z, of which the sigmoid is the structure's probability: (0, z), since softmax(0, z) = sigmoid(z).
    Several are of structures that overlap (:mod:`casewise.models.regions`), and stay as they are.
    """

    def __init__(self, inner: nn.Module, answers: str) -> None:
        super().__init__()
        self.inner = inner
        self.answers = answers

    def forward(self, x: Tensor) -> Tensor:
        answer = self.inner(x)
        if self.answers == "sigmoid":
            return torch.cat([torch.zeros_like(answer), answer], dim=1) if answer.shape[1] == 1 else answer
        chances = torch.cat([1 - answer, answer], dim=1) if answer.shape[1] == 1 else answer
        return chances.clamp_min(1e-7).log()
