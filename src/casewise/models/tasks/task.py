"""What a kind of model is: how cases become samples, what training minimises, how good an answer is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from casewise.case import Case
from casewise.errors import ModelError, UsageError
from casewise.image import Image
from casewise.models.prediction import Prediction
from casewise.models.preparation import Part
from casewise.models.spec import Spec

BATCH = 16  # samples of a case that are answered at once


@dataclass(frozen=True, eq=False)
class Sample:
    """One input of a network: ``x`` (C, *network) float16 (float32 where intensities do not lie in 0…1); ``target`` (*network)
    uint8, or a 0-d int64 class.

    voxel_weights : (*network) float16 or None. labelled : (structures,) bool: which of them the case has a mask of; None: all.
    """

    x: Tensor
    target: Tensor
    voxel_weights: Tensor | None = None
    labelled: Tensor | None = None

    @property
    def size(self) -> int:
        """Bytes of its tensors."""
        tensors = (self.x, self.target, self.voxel_weights, self.labelled)
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors if tensor is not None)


@dataclass(frozen=True, eq=False)
class Batch:
    """What one step of a training is given, and all that its loss is computed from beside the network's answer.

    x : (N, C, *network) float32. target : as the objective takes it; of a segmenter (N, *network) integer, of a classifier (N,)
    integer, of an autoencoder (N, C, *network). case_weights : (N,); None: 1. voxel_weights : (N, *network); None: 1.
    labelled : (N, structures) bool, of which structures there are masks; None: all.
    """

    x: Tensor
    target: Tensor
    case_weights: Tensor | None = None
    voxel_weights: Tensor | None = None
    labelled: Tensor | None = None

    def to(self, device: str) -> Self:
        """The same with every tensor on ``device``."""
        held = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: value.to(device) for name, value in held.items() if isinstance(value, Tensor)})


@dataclass(frozen=True)
class Task:
    """A kind of model, of the model that ``spec`` describes; :func:`casewise.models.tasks.task_of` says which.

    name : as ``model.toml`` has it. measured : what a validation of a training is called. dense : whether a target is a map on the
    voxels of the input, which is warped along with it. whole : whether a measure takes all slices of a volume.
    refusal : why such a model predicts nothing about an image, after its name; empty where it does.
    """

    spec: Spec
    name: ClassVar[str] = ""
    measured: ClassVar[str] = ""
    dense: ClassVar[bool] = False
    whole: ClassVar[bool] = False
    refusal: ClassVar[str] = ""

    @property
    def fixed(self) -> str:
        """Why such a model is not trained, after its name; empty where it is."""
        return ""

    def __str__(self) -> str:
        return self.name

    def described(self) -> str:
        """As a model's card says it."""
        return f"{self.name} of {', '.join(self.spec.labels)}" if self.spec.labels else self.name

    def predict(self, network: nn.Module, image: Image, device: str) -> Prediction:
        """The answer about an image, on its own grid; slices of a volume go through a 2D network in batches."""
        raise ModelError(f"A model for {self.name} {self.refusal}")

    def samples(self, case: Case, everything: bool = False) -> tuple[Sample, ...]:
        """The samples of a labelled case. everything : all slices of a volume (to measure) instead of those worth training on."""
        raise UsageError(self._untrainable())

    def target(self, x: Tensor, target: Tensor) -> Tensor:
        """The batch's target, from its input and its samples' targets."""
        return target

    def loss(self, answer: Tensor, batch: Batch) -> Tensor:
        """A scalar, from the network's answer."""
        raise UsageError(self._untrainable())

    def measures(
        self, network: nn.Module, case: Case, samples: Sequence[Sample], device: str, partial: bool = False
    ) -> dict[str, float]:
        """How good the network's answers to a case's samples are, by the measure's name. partial : only structures that the case
        has a mask of are counted.
        """
        raise UsageError(self._untrainable())

    def merit(self, measures: Mapping[str, float]) -> float:
        """Of mean :meth:`measures`: the one number of which more is better."""
        return -measures["loss"]

    def check_answer(self, answer: object, x: Tensor) -> Tensor:
        """The answer to ``x``, (N, outputs, *network). Raises ModelError for one of another shape."""
        if not isinstance(answer, Tensor) or answer.shape[1:2] != (self.spec.outputs,) or answer.ndim != self._ndim(x):
            msg = "This network answers otherwise while it is trained (deep supervision?); export it with that switched off."
            raise ModelError(msg)
        return answer

    def _ndim(self, x: Tensor) -> int:
        return x.ndim

    def _untrainable(self) -> str:
        return f"A model for {self.name} is not trained on cases alone: give batches and an objective of its own kind."


def answers(network: nn.Module, parts: Sequence[Part], spec: Spec, device: str) -> Iterator[Tensor]:
    """Logits (N, outputs[, *network]) of an image's parts on the CPU, a batch at a time."""
    preparation = spec.preparation
    size = BATCH if preparation.spatial_dims == 2 else 1
    with torch.inference_mode():
        for start in range(0, len(parts), size):
            if preparation.uniform:
                yield (network(torch.stack([part.tensor() for part in parts[start : start + size]]).to(device)).float().cpu())
            else:
                for part in parts[start : start + size]:
                    x = part.tensor()[None].to(device)
                    yield (preparation.slide(network, x) if preparation.windowed else network(x)).float().cpu()


def kept(part: Part) -> Tensor:
    """What a sample holds of a part: half precision is exact enough for 0…1 alone."""
    tensor = part.tensor()
    return tensor.half() if part.preparation.unit_range else tensor


def whole_answer(network: nn.Module, x: Tensor, spec: Spec) -> Tensor:
    """(N, outputs, *spatial) float32; at a given spacing in windows."""
    if spec.preparation.windowed:
        return spec.preparation.slide(network, x, thorough=False)
    answer: Tensor = network(x)
    return answer.float()


def stacked(samples: Sequence[Sample], device: str) -> Tensor:
    """(N, C, *network) float32 of the samples' inputs."""
    return torch.stack([sample.x for sample in samples]).float().to(device)
