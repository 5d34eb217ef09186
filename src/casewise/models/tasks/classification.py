"""Classifiers: one class for the whole picture or volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from casewise.case import Case
from casewise.errors import CasewiseError
from casewise.image import Image
from casewise.models.prediction import Prediction
from casewise.models.preparation import Part
from casewise.models.tasks.losses import classification_loss
from casewise.models.tasks.task import Batch, Sample, Task, answers, kept, stacked


@dataclass(frozen=True)
class Classification(Task):
    """Logits (N, classes)."""

    name: ClassVar[str] = "classification"
    measured: ClassVar[str] = "log_likelihood"

    def predict(self, network: nn.Module, image: Image, device: str) -> Prediction:
        """A probability for each class; of a volume, the mean answer to the middle half of its slices."""
        parts = middle(self.spec.preparation.parts(image))
        mean = torch.cat(list(answers(network, parts, self.spec, device))).softmax(dim=1).mean(dim=0)
        return Prediction(self.spec.labels, scores={name: float(p) for name, p in zip(self.spec.labels, mean, strict=True)})

    def samples(self, case: Case, everything: bool = False) -> tuple[Sample, ...]:
        """The ends of a volume, which show little of what its class is about, are left out unless ``everything`` is asked for."""
        spec = self.spec
        parts = spec.preparation.parts(case.image)
        if case.category not in spec.classes:
            name, known = case.name or case.key[:12], ", ".join(spec.classes)
            raise CasewiseError(f"Case {name} is of category {case.category!r} and the model knows {known}.")
        target = torch.tensor(spec.classes.index(case.category))
        return tuple(Sample(kept(part), target) for part in (parts if everything else middle(parts)))

    def loss(self, answer: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy: −ln of the true class's probability."""
        return classification_loss(answer, batch.target, batch.case_weights)

    def measures(
        self, network: nn.Module, case: Case, samples: Sequence[Sample], device: str, partial: bool = False
    ) -> dict[str, float]:
        """``accuracy``, 1 or 0, and ``loss``, −ln of the true class's probability; of the mean answer to a volume's slices."""
        with torch.inference_mode():
            chances = network(stacked(samples, device)).float().softmax(dim=1).mean(dim=0).cpu()
        truth = int(samples[0].target)
        return {"accuracy": float(int(chances.argmax()) == truth), "loss": float(-chances[truth].clamp_min(1e-6).log())}

    def _ndim(self, x: Tensor) -> int:
        return 2


def middle(parts: Sequence[Part]) -> Sequence[Part]:
    """The middle half of four slices or more."""
    return parts if len(parts) < 4 else parts[len(parts) // 4 : -(len(parts) // 4)]
