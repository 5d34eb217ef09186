"""What the lesion networks share: which sequences are there, their answer, and a classifier that looks where the map points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from casewise.models.networks.unet import Encoder


@dataclass(frozen=True, eq=False)
class LesionAnswer:
    """map : (N, row, column) logits of a lesion, by all sequences together; None from a network without a map.

    maps : (N, sequences, row, column) logits by each sequence alone, where the network makes them on its way; else None. Of a
    sequence that is missing they say nothing.
    verdict : (N, classes) logits, or (N, 1), the logit of the score.
    """

    map: Tensor | None
    verdict: Tensor
    maps: Tensor | None = None


def present(x: Tensor) -> Tensor:
    """(N, sequences) bool: a sequence that is 0 everywhere is missing."""
    return x.flatten(2).abs().amax(dim=2) > 0


class Looking(nn.Module):
    """A verdict from features (N, width, *coarse) pooled over the whole picture and where the map points, and from the map's shape
    (:func:`shape_of`). Without a map the second pooling takes the maximum over the picture, and the shape is 0.

    The features of few patients tell the patients apart better than the kinds, so that half of them are dropped in training; the
    shape never is.
    """

    def __init__(self, width: int, outputs: int, hidden: int = 32) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(2 * width, elementwise_affine=False)
        self.dropout = nn.Dropout(0.5)
        self.hidden = nn.Linear(2 * width + SHAPES, hidden)
        self.answer = nn.Linear(hidden, outputs)

    def forward(self, features: Tensor, logits: Tensor | None) -> Tensor:
        """(N, outputs) from features and the map's logits (N, row, column)."""
        flat = features.flatten(2)
        if logits is None:
            there, shape = flat.amax(dim=2), flat.new_zeros((len(flat), SHAPES))
        else:
            chance = logits.float().sigmoid()
            coarse = functional.adaptive_max_pool2d(chance[:, None], features.shape[2:]).flatten(2)
            there, shape = (flat * coarse).sum(dim=2) / coarse.sum(dim=2).clamp_min(1e-3), shape_of(chance)
        pooled = self.dropout(self.norm(torch.cat([flat.mean(dim=2), there], dim=1).float()))
        # Leaking, because a rate that suits the map leaves most of so few plain ones dead.
        answer: Tensor = self.answer(functional.leaky_relu(self.hidden(torch.cat([pooled, shape], dim=1)), 0.1))
        return answer


SHAPES = 5


def shape_of(chance: Tensor) -> Tensor:
    """(N, 5) of maps (N, row, column) in 0…1: area, highest chance, how far left and right are alike, how scattered it is, and area
    by scatter. A tumour is one mass of one side; what vessels or inflammation leave is several, and mostly on both sides.
    """
    total = chance.sum(dim=(1, 2)).clamp_min(1e-2)
    rows, columns = (torch.linspace(-1, 1, n, device=chance.device, dtype=chance.dtype) for n in chance.shape[1:])
    middle_row = (chance * rows[:, None]).sum(dim=(1, 2)) / total
    middle_column = (chance * columns).sum(dim=(1, 2)) / total
    squares = (chance * (rows[:, None] ** 2 + columns**2)).sum(dim=(1, 2)) / total
    scatter = (squares - middle_row**2 - middle_column**2).clamp_min(1e-4).sqrt()
    smooth = functional.avg_pool2d(chance[:, None], 9, 1, 4)[:, 0]
    mirrored = (smooth * smooth.flip(2)).sum(dim=(1, 2)) / (smooth**2).sum(dim=(1, 2)).clamp_min(1e-3)
    area = total / chance[0].numel()
    return torch.stack([10 * area, chance.amax(dim=(1, 2)), 2 * mirrored, 2 * scatter, area / (scatter**2 + 0.05)], dim=1)


class MapClassifier(nn.Module):
    """A network of its own that takes the images *and* the map: (N, sequences, row, column), (N, row, column) → (N, outputs).

    told_by : numbers of the sequences that it sees; see :class:`casewise.models.networks.lesion_multitask.MultiTask`.
    """

    def __init__(self, told_by: Sequence[int], outputs: int, channels: Sequence[int], patch: int) -> None:
        super().__init__()
        self.told_by = list(told_by)
        self.encoder = Encoder(2, len(self.told_by) + 1, channels, patch)
        self.looking = Looking(channels[-1], outputs)

    def forward(self, x: Tensor, logits: Tensor | None) -> Tensor:
        drawn = torch.zeros_like(x[:, :1]) if logits is None else logits.sigmoid()[:, None]
        verdict: Tensor = self.looking(self.encoder(torch.cat([x[:, self.told_by], drawn], dim=1)), logits)
        return verdict
