"""Autoencoders: an image for an image, so that what lies in between says what is in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from casewise.case import Case
from casewise.models.tasks.classification import middle
from casewise.models.tasks.losses import reconstruction_loss
from casewise.models.tasks.task import Batch, Sample, Task, kept, stacked


@dataclass(frozen=True)
class Encoding(Task):
    """Answers (N, C, *spatial), the image rebuilt; no labels are used."""

    name: ClassVar[str] = "encoding"
    measured: ClassVar[str] = "likeness"
    refusal: ClassVar[str] = "compares images and answers nothing about one; choose a segmenter or classifier."

    def samples(self, case: Case, everything: bool = False) -> tuple[Sample, ...]:
        """The middle half of a volume's slices, unless ``everything`` is asked for."""
        parts = self.spec.preparation.parts(case.image)
        return tuple(Sample(kept(part), torch.tensor(0)) for part in (parts if everything else middle(parts)))

    def target(self, x: Tensor, target: Tensor) -> Tensor:
        """The input itself."""
        return x

    def loss(self, answer: Tensor, batch: Batch) -> Tensor:
        """Mean absolute difference."""
        return reconstruction_loss(answer, batch.target, batch.case_weights, batch.voxel_weights)

    def measures(
        self, network: nn.Module, case: Case, samples: Sequence[Sample], device: str, partial: bool = False
    ) -> dict[str, float]:
        """``loss``, the mean absolute difference."""
        x = stacked(samples, device)
        with torch.inference_mode():
            return {"loss": float((network(x).float() - x).abs().mean())}
