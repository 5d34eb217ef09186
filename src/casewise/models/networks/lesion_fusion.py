"""Fusion network for lesions: a network for each sequence, whose maps are combined, and a classifier of images and combined map."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from casewise.models.networks.lesion_localiser import Localiser
from casewise.models.networks.lesion_parts import LesionAnswer, MapClassifier, present


class Fusion(nn.Module):
    """Input (N, sequences, row, column), a missing sequence 0 everywhere; see :class:`LesionAnswer`.

    Each sequence's network gives a map and, pixel by pixel, how far it is to be trusted; the combined map is the mean of those that
    are there, weighted by that. A missing sequence costs nothing: its network is not run. told_by, mapped : as of
    :class:`casewise.models.networks.lesion_multitask.MultiTask`.
    """

    def __init__(
        self, sequences: int, classes: int, channels: Sequence[int], patch: int, told_by: Sequence[int], mapped: bool
    ) -> None:
        super().__init__()
        self.mapped = mapped
        self.localiser = nn.ModuleList(Localiser(1, 2, channels, patch) for _ in range(sequences))
        self.classifier = MapClassifier(told_by, classes, channels, patch)

    def forward(self, x: Tensor) -> LesionAnswer:
        if not self.mapped:
            return LesionAnswer(None, self.classifier(x, None))
        there = present(x)
        answers = []
        for number, network in enumerate(self.localiser):
            rows = torch.nonzero(there[:, number])[:, 0]
            nothing = x.new_zeros((len(x), 2, *x.shape[2:]), dtype=torch.float32)
            found = network(x[rows, number : number + 1]).float() if len(rows) else nothing[rows]
            answers.append(nothing.index_copy(0, rows, found))
        maps, trust = torch.stack(answers, dim=2).unbind(dim=1)
        logits = combined(maps, trust, there)
        return LesionAnswer(logits, self.classifier(x, logits), maps)


def combined(maps: Tensor, trust: Tensor, there: Tensor) -> Tensor:
    """(N, row, column) logits: ``maps`` (N, sequences, row, column) weighted by ``trust`` (the same), of those that are ``there``
    (N, sequences); 0.02 of a chance where none is.
    """
    weights = trust.masked_fill(~there[:, :, None, None], -1e4).softmax(dim=1)
    logits = (maps * weights).sum(dim=1)
    return torch.where(there.any(dim=1)[:, None, None], logits, torch.full_like(logits, -4.0))
