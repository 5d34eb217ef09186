"""The last block of the interactive networks: what is trained again on one image, from features that are computed once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_CONV = {2: nn.Conv2d, 3: nn.Conv3d}


class Head(nn.Module):
    """Two pointwise layers on a voxel's features, and the logit that the strokes' distances alone give, passed on.

    Input (N, features + 1, *spatial), the last channel that logit; output (N, out_channels, *spatial) logits. ``trust`` is how much
    of the passed-on logit is added to the object's.
    """

    def __init__(self, spatial_dims: int, features: int, out_channels: int, hidden: int = 16) -> None:
        super().__init__()
        conv = _CONV[spatial_dims]
        self.hidden = conv(features + 1, hidden, 1)
        self.answer = conv(hidden, out_channels, 1)
        self.trust = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor) -> Tensor:
        """``x`` may also be planes (n, features + 1, row, column) of volumes, which are answered one by one."""
        if x.ndim < self.hidden.weight.ndim:
            return self.forward(x[..., None])[..., 0]
        logits: Tensor = self.answer(torch.relu(self.hidden(x)))
        passed = self.trust * x[:, -1:]
        return torch.cat([logits[:, :1], logits[:, 1:] + passed], dim=1)
