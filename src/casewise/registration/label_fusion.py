"""Label fusion: the labels of several registered images averaged, with weights that differ from place to place.

A label's weight at a place grows with how well its image correlates there with the fixed one: locally weighted fusion
(Artaechevarria et al., IEEE TMI 28(8), 2009; Sabuncu et al., IEEE TMI 29(10), 2010).
"""

from __future__ import annotations

import torch
from torch import Tensor


class LabelFusion:
    """Sums labels as they come, so that not all of them are in memory at once.

    sharpness : a label weighs exp(sharpness · local correlation).
    """

    def __init__(self, sharpness: float) -> None:
        self._sharpness = sharpness
        self._labels: Tensor | None = None
        self._weights: Tensor | None = None

    def add(self, labels: Tensor, correlation: Tensor, trust: Tensor | None = None) -> None:
        """Add a batch. labels : (N, C, *spatial), share of each structure. correlation : (N, *spatial). trust : (N,) weights."""
        weights = (self._sharpness * correlation).exp()
        if trust is not None:
            weights = trust.view(-1, *[1] * (weights.ndim - 1)) * weights
        labels, weights = (labels * weights[:, None]).sum(dim=0), weights.sum(dim=0)
        self._labels = labels if self._labels is None else self._labels + labels
        self._weights = weights if self._weights is None else self._weights + weights

    def probabilities(self) -> Tensor:
        """(1 + C, *spatial): of the background, and of each structure. Raises ValueError where nothing was added."""
        if self._labels is None or self._weights is None:
            msg = "No label was added to be fused."
            raise ValueError(msg)
        structures = self._labels / self._weights
        return torch.cat([(1 - structures.sum(dim=0, keepdim=True)).clamp_min(0), structures])
