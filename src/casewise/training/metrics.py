"""How good a model is on labelled cases: Dice for a segmenter, accuracy and AUC for a classifier."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from casewise.case import Case
from casewise.device import resolve_device
from casewise.models.model import Model
from casewise.models.spec import Spec
from casewise.training.samples import samples_of

_BATCH = 16


def dice(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> float:
    """2·|A∩B| / (|A| + |B|) of two boolean arrays; 1 when both are empty."""
    total = int(first.sum()) + int(second.sum())
    return 1.0 if total == 0 else 2.0 * int(np.logical_and(first, second).sum()) / total


def measure(model: Model, cases: Sequence[Case], device: str = "cpu", partial: bool = False) -> dict[str, float]:
    """Mean measures of ``model`` over ``cases``, on its grid: ``dice`` and ``soft_dice``, or ``accuracy`` and ``loss``.

    partial : only the structures that a case has a mask of are counted.
    """
    device = resolve_device(device)
    values = per_case(model.ready(device), model.spec, cases, device, partial)
    return {name: float(np.mean(numbers)) for name, numbers in values.items()}


def per_case(
    network: nn.Module, spec: Spec, cases: Sequence[Case], device: str = "cpu", partial: bool = False
) -> dict[str, list[float]]:
    """One number a case: a segmenter's Dice (mean over the structures the case or the answer has, over all its slices together), a
    classifier's accuracy and −ln of the true class's probability, an autoencoder's mean absolute difference as ``loss``.

    partial : only the structures that the case has a mask of are counted.
    """
    if spec.task == "segmentation":
        both = [_case_dice(network, spec, case, device, partial) for case in cases]
        return {"dice": [hard for hard, _ in both], "soft_dice": [soft for _, soft in both]}
    if spec.task == "encoding":
        return {"loss": [_difference(network, spec, case, device) for case in cases]}
    answers = [_class_answer(network, spec, case, device) for case in cases]
    return {"accuracy": [float(right) for right, _ in answers], "loss": [loss for _, loss in answers]}


def answer_of(network: nn.Module, x: torch.Tensor, spec: Spec) -> torch.Tensor:
    answer: torch.Tensor
    if spec.preparation.spacing is None:
        answer = network(x)
    else:
        from monai.inferers import sliding_window_inference

        answer = sliding_window_inference(x, spec.preparation.size, 4, network)
    return answer.float()


def _case_dice(network: nn.Module, spec: Spec, case: Case, device: str, partial: bool) -> tuple[float, float]:
    """(Dice, soft Dice): of the most probable structures, and of the probabilities themselves, which moves before a voxel flips."""
    samples = samples_of(case, spec, everything=True)
    count = len(spec.structures)
    overlap, sizes, soft_overlap, soft_sizes = (np.zeros(count) for _ in range(4))
    with torch.inference_mode():
        for start in range(0, len(samples), _BATCH):
            batch = samples[start : start + _BATCH]
            chances = answer_of(network, torch.stack([s.x for s in batch]).float().to(device), spec).softmax(dim=1).cpu()
            answer, truth = chances.argmax(dim=1), torch.stack([s.target for s in batch])
            for number in range(count):
                guessed, true, chance = answer == number + 1, truth == number + 1, chances[:, number + 1]
                overlap[number] += float((guessed & true).sum())
                sizes[number] += float(guessed.sum() + true.sum())
                soft_overlap[number] += float(chance[true].sum())
                soft_sizes[number] += float(chance.sum() + true.sum())
    present = sizes > 0
    if partial:
        present &= np.array([case.has(structure) for structure in spec.structures])
    if not present.any():
        return 1.0, 1.0
    return float((2 * overlap[present] / sizes[present]).mean()), float((2 * soft_overlap[present] / soft_sizes[present]).mean())


def _difference(network: nn.Module, spec: Spec, case: Case, device: str) -> float:
    x = torch.stack([s.x for s in samples_of(case, spec)]).float().to(device)
    with torch.inference_mode():
        return float((network(x).float() - x).abs().mean())


def _class_answer(network: nn.Module, spec: Spec, case: Case, device: str) -> tuple[bool, float]:
    samples = samples_of(case, spec)
    with torch.inference_mode():
        logits = network(torch.stack([s.x for s in samples]).float().to(device)).float()
        chances = logits.softmax(dim=1).mean(dim=0).cpu()
    true = int(samples[0].target)
    return int(chances.argmax()) == true, -float(chances[true].clamp_min(1e-6).log())
