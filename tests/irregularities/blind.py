"""A detector whose encoder sees nothing and keeps what it was given, so that what reaches a network is tested at no cost."""

from __future__ import annotations

import torch
from torch import Tensor

from casewise.models.networks.segment_detector import Features, SegmentDetector


class Blind(SegmentDetector):
    """given : (scale, pixels) of every call of its encoder."""

    def __init__(self, branch: str = "both") -> None:
        super().__init__(2, (4, 6), branch)
        self.given: list[tuple[int, Tensor]] = []
        self.eval()

    def encoded(self, pixels: Tensor, levels: object, reduced: int) -> Features:
        self.given.append((reduced, pixels[0, 0].float().clone()))
        rows, columns = (n * reduced for n in pixels.shape[2:])
        return [
            torch.zeros(1, level.channels, rows // level.step, columns // level.step)
            for level in self.levels
            if level.reduced == reduced
        ]
