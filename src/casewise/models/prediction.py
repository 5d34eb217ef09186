"""What a model answers about an image, on the image's own grid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from casewise.image import Image
from casewise.models.preparation import Part

if TYPE_CHECKING:
    from casewise.models.model import Model

_BATCH = 16


@dataclass(frozen=True, eq=False)
class Prediction:
    """A segmenter fills ``probabilities``, a classifier ``scores``.

    labels : names of the structures or classes.
    probabilities : (1 + structures, *spatial) float32, background first, summing to 1; None from a classifier.
    scores : class name → probability; empty from a segmenter.
    """

    labels: tuple[str, ...]
    probabilities: npt.NDArray[np.float32] | None = None
    scores: Mapping[str, float] = field(default_factory=dict)

    @property
    def mask(self) -> npt.NDArray[np.uint8]:
        """(*spatial): 0 background, n the n-th structure."""
        if self.probabilities is None:
            msg = "a classifier's prediction has no mask"
            raise AttributeError(msg)
        return np.asarray(self.probabilities.argmax(axis=0).astype(np.uint8))

    def masks(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Structure name → (*spatial) bool; empty from a classifier."""
        if self.probabilities is None:
            return {}
        mask = self.mask
        return {name: mask == number for number, name in enumerate(self.labels, start=1)}


def predict(model: Model, image: Image, device: str) -> Prediction:
    """Segment or classify ``image`` with ``model``; slices of a volume go through a 2D network in batches."""
    parts = model.spec.preparation.parts(image)
    network = model.ready(device)
    if model.task == "classification":
        if len(parts) > 3:  # the ends of a volume show little of what its class is about
            parts = parts[len(parts) // 4 : -(len(parts) // 4)]
        answers = torch.cat(list(_answers(network, parts, model, device)))
        mean = answers.softmax(dim=1).mean(dim=0)
        return Prediction(model.labels, scores={name: float(p) for name, p in zip(model.labels, mean, strict=True)})
    planes: list[npt.NDArray[np.float32]] = []
    for batch in _answers(network, parts, model, device):
        for answer in batch.softmax(dim=1):
            planes.append(parts[len(planes)].restore(answer))
    return Prediction(model.labels, probabilities=model.spec.preparation.assemble(planes, image))


def blend(first: Prediction, second: Prediction, share: float = 0.5) -> Prediction:
    """The mean of two predictions of one image: ``share`` of the second, the rest of the first."""
    if first.probabilities is not None and second.probabilities is not None:
        mixed = (1 - share) * first.probabilities + share * second.probabilities
        return Prediction(first.labels, probabilities=mixed.astype(np.float32))
    scores = {name: (1 - share) * first.scores[name] + share * second.scores[name] for name in first.labels}
    return Prediction(first.labels, scores=scores)


def _answers(network: nn.Module, parts: list[Part], model: Model, device: str) -> Iterator[Tensor]:
    """Logits (N, outputs[, *network]) on the CPU, a batch at a time."""
    preparation = model.spec.preparation
    size = _BATCH if preparation.spatial_dims == 2 else 1
    with torch.inference_mode():
        for start in range(0, len(parts), size):
            if preparation.spacing is None:
                yield (network(torch.stack([part.tensor() for part in parts[start : start + size]]).to(device)).float().cpu())
            else:
                for part in parts[start : start + size]:
                    yield _slide(network, part.tensor()[None].to(device), preparation.size)


def _slide(network: nn.Module, x: Tensor, size: tuple[int, ...]) -> Tensor:
    from monai.inferers import sliding_window_inference

    answer: Tensor = sliding_window_inference(x, size, 4, network, overlap=0.25, mode="gaussian").float().cpu()
    return answer
