"""Segmenters: a structure, or background, for every voxel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from casewise.case import Case
from casewise.errors import CasewiseError
from casewise.image import Image
from casewise.models.prediction import Prediction
from casewise.models.regions import are_independent, belongs, chances
from casewise.models.tasks.losses import segmentation_loss
from casewise.models.tasks.task import BATCH, Batch, Sample, Task, answers, kept, stacked, whole_answer

_EMPTY_SHARE = 3  # of a volume's slices without any structure, one in so many is trained on


@dataclass(frozen=True)
class Segmentation(Task):
    """Logits (N, 1 + structures, *spatial), background first."""

    name: ClassVar[str] = "segmentation"
    measured: ClassVar[str] = "dice"
    dense: ClassVar[bool] = True
    whole: ClassVar[bool] = True

    def predict(self, network: nn.Module, image: Image, device: str) -> Prediction:
        """Probabilities on the image's grid."""
        parts = self.spec.preparation.parts(image)
        planes: list[npt.NDArray[np.float32]] = []
        for batch in answers(network, parts, self.spec, device):
            for answer in batch:
                planes.append(parts[len(planes)].probabilities(answer, self.spec.regions))
        whole = self.spec.preparation.assemble(planes, image)
        return Prediction(
            self.spec.labels,
            probabilities=whole,
            affine=image.affine,
            regions=self.spec.regions,
            header=image.header.of_masks(image.spatial_dims),
        )

    def samples(self, case: Case, everything: bool = False) -> tuple[Sample, ...]:
        """Slices without any structure are thinned out, unless ``everything`` is asked for."""
        spec, image = self.spec, case.image
        parts = spec.preparation.parts(image)
        labels = self._labels(case)
        if labels.shape != image.spatial_shape:
            name = case.name or case.key
            msg = f"The mask of {name} is {labels.shape} and its image {image.spatial_shape}; they must be the same."
            raise CasewiseError(msg)
        pieces = spec.preparation.label_parts(labels, image)
        chosen = range(len(parts)) if everything else _chosen([bool(piece.any()) for piece in pieces])
        labelled = torch.tensor([case.has(structure) for structure in spec.structures])
        return tuple(Sample(kept(parts[k]), parts[k].labels(pieces[k]), labelled=labelled) for k in chosen)

    def _labels(self, case: Case) -> npt.NDArray[np.uint8]:
        """(*spatial) the numbers of the structures, or the kinds of those that overlap."""
        each = self.spec.structures
        if not are_independent(self.spec.regions) or not any(case.has(one) for one in each):
            return case.label_map(each)
        masks = [(number, case.label_map([one]) > 0) for number, one in enumerate(each) if case.has(one)]
        kinds: npt.NDArray[np.uint8] = np.bitwise_or.reduce([mask.astype(np.uint8) << number for number, mask in masks])
        return kinds

    def loss(self, answer: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy and soft Dice (:func:`casewise.models.tasks.losses.segmentation_loss`); of regions, the mean of theirs."""
        regions, held, pooled = self.spec.regions, batch.labelled, self.spec.preparation.pooled
        if not regions:
            return segmentation_loss(answer, batch.target, batch.case_weights, batch.voxel_weights, held, pooled)
        losses = []
        for number in range(len(regions)):
            alone = torch.cat([torch.zeros_like(answer[:, :1]), answer[:, number : number + 1]], dim=1)
            inside = belongs(batch.target, regions, number).long()
            own = held[:, number : number + 1] if held is not None else None
            losses.append(segmentation_loss(alone, inside, batch.case_weights, batch.voxel_weights, own, pooled))
        return torch.stack(losses).mean()

    def measures(
        self, network: nn.Module, case: Case, samples: Sequence[Sample], device: str, partial: bool = False
    ) -> dict[str, float]:
        """``dice`` of the most probable structures, the mean over those that the case or the answer has, over all slices together;
        ``soft_dice`` of the probabilities themselves, which moves before a voxel flips.
        """
        count, regions = len(self.spec.structures), self.spec.regions
        overlap, sizes, soft_overlap, soft_sizes = (np.zeros(count) for _ in range(4))
        with torch.inference_mode():
            for start in range(0, len(samples), BATCH):
                batch = samples[start : start + BATCH]
                likely = chances(whole_answer(network, stacked(batch, device), self.spec), regions).cpu()
                answer, truth = likely.argmax(dim=1), torch.stack([s.target for s in batch])
                for number in range(count):
                    guessed, true = belongs(answer, regions, number), belongs(truth, regions, number)
                    chance = likely[:, list(regions[number]) if regions else [number + 1]].sum(dim=1)
                    overlap[number] += float((guessed & true).sum())
                    sizes[number] += float(guessed.sum() + true.sum())
                    soft_overlap[number] += float(chance[true].sum())
                    soft_sizes[number] += float(chance.sum() + true.sum())
        present = sizes > 0
        if partial:
            present &= np.array([case.has(structure) for structure in self.spec.structures])
        if not present.any():
            return {"dice": 1.0, "soft_dice": 1.0}
        hard, soft = 2 * overlap[present] / sizes[present], 2 * soft_overlap[present] / soft_sizes[present]
        return {"dice": float(hard.mean()), "soft_dice": float(soft.mean())}

    def merit(self, measures: Mapping[str, float]) -> float:
        """Dice."""
        return measures["dice"]


def _chosen(filled: Sequence[bool]) -> list[int]:
    empty = [k for k, full in enumerate(filled) if not full]
    return sorted([k for k, full in enumerate(filled) if full] + empty[:: _EMPTY_SHARE if any(filled) else 1])
