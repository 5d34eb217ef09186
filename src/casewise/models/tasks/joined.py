"""Several segmenters of one volume, one after another, whose label maps are laid over each other: a task of TotalSegmentator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from casewise.case import Case
from casewise.errors import ModelError, UsageError
from casewise.image import Image
from casewise.models.planned.network import Parts
from casewise.models.planned.plan import plan_of
from casewise.models.planned.preparation import Planned, box_of
from casewise.models.planned.windows import slide_winners
from casewise.models.prediction import Prediction
from casewise.models.preparation import Part
from casewise.models.tasks.segmentation import Segmentation
from casewise.models.tasks.task import Sample
from casewise.models.view import View

Labels = npt.NDArray[np.uint8]
Chances = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Joined(Segmentation):
    """Where two answer a structure at a voxel, the later one counts. Memory is that of one network's windows at a time; of
    whole volumes there are label maps and the winners' probabilities alone.
    """

    @property
    def fixed(self) -> str:
        folders = ", ".join(str(name) for name in self.spec.network.get("folders", ()))
        return f"joins several models and is not trained as a whole; name the folder of one of them ({folders})"

    def predict(self, network: nn.Module, image: Image, device: str) -> Prediction:
        if not isinstance(network, Parts):
            raise ModelError("A joined model has several networks, and this is one.")
        settings = self.spec.network
        names = [name for names in settings["outputs"] for name in names]
        preparations = [Planned.of(plan_of(part)) for part in settings["parts"]]
        view, array = preparations[0].seen(image)
        merged, certainty = np.zeros(array.shape[1:], np.uint8), np.zeros(array.shape[1:], np.float32)
        first = 0
        for preparation, part, outputs in zip(preparations, network.parts, settings["outputs"], strict=True):
            if (
                preparation.own.canonical != preparations[0].own.canonical
                or preparation.own.transpose != preparations[0].own.transpose
            ):
                view, array = preparation.seen(image)
            labels, chances = _answered(preparation, part, array, view, device)
            found = labels > 0
            merged[found], certainty[found] = labels[found] + np.uint8(first), chances[found]
            first += len(outputs)
        for name in settings["largest"]:
            _keep(merged, names.index(name) + 1, fewest=None)
        for name, size in settings["smallest_mm3"].items():
            _keep(merged, names.index(name) + 1, fewest=size / prod(view.spacing))
        numbers = np.zeros(len(names) + 1, np.uint8)
        for number, label in enumerate(self.spec.labels, start=1):
            numbers[names.index(label) + 1] = number
        (winners,) = preparations[0].back(numbers[merged][None], image)
        (sure,) = preparations[0].back(certainty[None], image)
        return Prediction(
            self.spec.labels, affine=image.affine, winners=winners, certainty=sure, header=image.header.of_masks(image.spatial_dims)
        )

    def samples(self, case: Case, everything: bool = False) -> tuple[Sample, ...]:
        raise UsageError(f"A model of the task {self.spec.network.get('task')} {self.fixed}.")


def _answered(
    preparation: Planned, network: nn.Module, array: npt.NDArray[np.float32], view: View, device: str
) -> tuple[Labels, Chances]:
    """Numbers of a network's structures and their probabilities, (slices, rows, columns) as ``array`` (C, …)."""
    (part,) = preparation.parts_of(array, view)
    labels, chances = np.zeros(array.shape[1:], np.uint8), np.zeros(array.shape[1:], np.float32)
    box = box_of(array)
    with torch.inference_mode():
        labels[box], chances[box] = _winners(preparation, network, part, part.tensor()[None].to(device))
    return labels, chances


def _winners(preparation: Planned, network: nn.Module, part: Part, x: Tensor) -> tuple[Labels, Chances]:
    if preparation.scaled_shape(part.shape, part.view.spacing) == part.shape and not preparation.own.mirrored:
        winners, chances = slide_winners(network, x, preparation.size, preparation.step)
        low = [(wide - n) // 2 for n, wide in zip(part.shape, winners.shape, strict=True)]  # a window is wider than a small volume
        inner = tuple(slice(start, start + n) for start, n in zip(low, part.shape, strict=True))
        return winners[inner], chances[inner]
    likely = part.probabilities(preparation.slide(network, x)[0])  # its plan asks for another spacing
    return np.asarray(likely.argmax(axis=0).astype(np.uint8)), np.asarray(likely.max(axis=0))


def _keep(labels: Labels, number: int, fewest: float | None) -> None:
    """Leave a structure its largest piece, or its pieces of more than ``fewest`` voxels; pieces touch by their faces."""
    from scipy.ndimage import label

    pieces, count = label(labels == number)
    if not count:
        return
    sizes = np.bincount(pieces.reshape(-1))
    sizes[0] = 0
    kept: Sequence[bool] | npt.NDArray[np.bool_] = (
        np.arange(len(sizes)) == int(sizes.argmax()) if fewest is None else sizes > fewest
    )
    labels[(pieces > 0) & ~np.asarray(kept)[pieces]] = 0
