"""What the lesion networks share: which sequences are there, their answer, and a classifier that looks where the map points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from casewise.models.networks.unet import Encoder, UNet

_RARE = -3.0  # the logit of a lesion to begin with


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


def localiser(sequences: int, outputs: int, channels: Sequence[int], patch: int) -> UNet:
    """A U-Net whose first output says of nearly every pixel that it is no lesion before it has learnt anything: most are none."""
    network = UNet(2, sequences, outputs, channels, patch)
    with torch.no_grad():
        network.head.bias[0] = _RARE  # type: ignore[index, operator]
    return network


class Looking(nn.Module):
    """A verdict from features (N, width, *coarse) pooled twice, over the whole picture and where the map points, and from the map's
    own mean and maximum. Without a map the second pooling takes the maximum over the picture instead.
    """

    def __init__(self, width: int, outputs: int, hidden: int = 32) -> None:
        super().__init__()
        self.hidden = nn.Linear(2 * width + 2, hidden)
        self.dropout = nn.Dropout(0.2)
        self.answer = nn.Linear(hidden, outputs)

    def forward(self, features: Tensor, logits: Tensor | None) -> Tensor:
        """(N, outputs) from features and the map's logits (N, row, column)."""
        flat = features.flatten(2)
        mean = flat.mean(dim=2)
        if logits is None:
            pooled = torch.cat([mean, flat.amax(dim=2), torch.zeros_like(mean[:, :2])], dim=1)
        else:
            chance = logits.sigmoid()
            coarse = functional.adaptive_max_pool2d(chance[:, None], features.shape[2:]).flatten(2)
            there = (flat * coarse).sum(dim=2) / coarse.sum(dim=2).clamp_min(1e-3)
            own = torch.stack([chance.flatten(1).mean(dim=1) * 10, chance.flatten(1).amax(dim=1)], dim=1)
            pooled = torch.cat([mean, there, own], dim=1)
        answer: Tensor = self.answer(self.dropout(functional.relu(self.hidden(self.dropout(pooled)))))
        return answer


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
