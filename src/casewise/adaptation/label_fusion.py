"""The labels of similar cases, registered to the image and fused, averaged with the model's prediction.

It needs no training, and helps where refining cannot: where the archive holds only cases the model was trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor
from torch.nn import functional

from casewise.case import Case
from casewise.image import Image
from casewise.intensity import unit_range
from casewise.models.model import Model
from casewise.models.prediction import Prediction, blend
from casewise.models.regions import kinds_in
from casewise.progress import Progress, silent
from casewise.registration.batched import RegistrationSettings, register
from casewise.registration.label_fusion import LabelFusion
from casewise.training.samples import samples_of

_STEP = "Registering similar cases"
_BATCH = 8  # pictures registered at once; volumes one by one, for their memory
_PRESENT = 0.05  # where the fused probability is above this, the structures may lie


@dataclass(frozen=True)
class FusionSettings:
    """Settings, chosen by ``benchmarks/similar_cases.py`` on tuning cases.

    k : cases whose labels are fused. weight : of the fused labels against the model. sharpness : a voxel's label weighs
    exp(sharpness · its correlation). agreement, correlation : fused labels are used where the registered ones agree with them by
    this mean Dice, and the registered images correlate with the image by this much where the structures may lie. fewest : cases;
    one or two agree too easily.
    """

    k: int = 8
    weight: float = 0.5
    sharpness: float = 8.0
    agreement: float = 0.75
    correlation: float = 0.3
    fewest: int = 3
    registration: RegistrationSettings | None = None


@dataclass(frozen=True, eq=False)
class FusedLabels:
    """The fused labels, and whether they are to be used.

    reason : one sentence. prediction : of the labels alone, on the image's own grid; None where no case has them. cases : whose
    labels were fused. agreement : mean Dice of the registered labels with the fused ones, 0…1. correlation : squared, local, mean
    over where the structures may lie, 0…1.
    """

    used: bool
    reason: str
    prediction: Prediction | None = None
    cases: tuple[Case, ...] = ()
    agreement: float = 0.0
    correlation: float = 0.0
    weight: float = 0.0

    def joined(self, prediction: Prediction) -> Prediction:
        """The model's ``prediction`` averaged with that of the labels, or as it is where these are not to be used."""
        return blend(prediction, self.prediction, self.weight) if self.used and self.prediction is not None else prediction


def fuse_labels(
    model: Model, image: Image, cases: Sequence[Case], settings: FusionSettings | None = None, progress: Progress = silent
) -> FusedLabels:
    """Fuse the labels of the first ``k`` of ``cases`` (most similar first, without ``image`` itself), registered to ``image``.

    Pictures are registered to pictures and volumes to volumes, whole even where the model takes slices. Cases that lack one of the
    model's structures are passed over. The same input gives the same labels; the model is not run.
    """
    settings = settings or FusionSettings()
    if not model.kind.dense:
        return FusedLabels(False, "Labels of structures are fused, and this model segments none, so it was used alone.")
    used_cases = list(islice((case for case in cases if _usable(case, model, image)), settings.k))
    if not used_cases:
        return FusedLabels(
            False, "None of the similar cases has labels of all the model's structures, so the model was used alone."
        )
    parts = model.spec.preparation.parts(image)
    sliced = image.spatial_dims > model.spec.preparation.spatial_dims
    fixed = _unit_range(_whole([part.tensor() for part in parts], sliced), model)
    chances, labels, correlation = _registered(fixed, used_cases, model, sliced, settings, progress)
    agreement, average = _agreement(chances, labels), _correlation_within(chances, correlation)
    planes = [part.restore(plane) for part, plane in zip(parts, chances.unbind(-1) if sliced else [chances], strict=True)]
    answer = model.spec.preparation.assemble(planes, image)
    prediction = Prediction(
        model.labels,
        probabilities=answer,
        affine=image.affine,
        regions=model.spec.regions,
        header=image.header.of_masks(image.spatial_dims),
    )
    present = bool(chances[1:].sum(dim=0).max() > _PRESENT)
    used, reason = _accepted(len(used_cases), agreement, average, present, settings)
    return FusedLabels(used, reason, prediction, tuple(used_cases), agreement, average, settings.weight)


def _usable(case: Case, model: Model, image: Image) -> bool:
    return case.image.spatial_dims == image.spatial_dims and all(case.has(structure) for structure in model.spec.structures)


def _whole(tensors: Sequence[Tensor], sliced: bool) -> Tensor:
    """(C, *spatial) of an image's one part, or of all its slices, along the last axis."""
    return torch.stack(list(tensors), dim=-1) if sliced else tensors[0]


def _registered(
    fixed: Tensor, cases: Sequence[Case], model: Model, sliced: bool, settings: FusionSettings, progress: Progress
) -> tuple[Tensor, Tensor, Tensor]:
    """(probabilities (1 + structures, *spatial), registered labels (N, *spatial) uint8, mean correlation (*spatial))."""
    shape = tuple(fixed.shape[1:])
    fusion, correlation, labels = LabelFusion(settings.sharpness), torch.zeros(shape), []
    size = _BATCH if len(shape) == 2 else 1
    for start in range(0, len(cases), size):
        progress(_STEP, start, len(cases))
        samples = [samples_of(case, model.spec, everything=True) for case in cases[start : start + size]]
        images = [_unit_range(_whole([s.x.float() for s in one], sliced), model) for one in samples]
        masks = [_whole([s.target.float()[None] for s in one], sliced) for one in samples]
        moving = torch.stack([_fitted(image, shape, "area") for image in images])
        targets = torch.cat([_fitted(mask, shape, "nearest-exact").long() for mask in masks])
        registered = register(fixed, moving, settings.registration)
        chances = registered.warp(
            functional.one_hot(targets, 1 + kinds_in(model.spec.regions, len(model.spec.structures))).movedim(-1, 1)[:, 1:].float()
        )
        fusion.add(chances, registered.correlation)
        correlation += registered.correlation.sum(dim=0) / len(cases)
        labels.append(torch.cat([1 - chances.sum(dim=1, keepdim=True), chances], dim=1).argmax(dim=1).byte())
    progress(_STEP, len(cases), len(cases))
    return fusion.probabilities(), torch.cat(labels), correlation


def _fitted(tensor: Tensor, shape: tuple[int, ...], mode: str) -> Tensor:
    """(C, *spatial) stretched to ``shape``: volumes differ in slices, and models of a set spacing see images at their own sizes."""
    return tensor if tuple(tensor.shape[1:]) == shape else functional.interpolate(tensor[None], size=shape, mode=mode)[0]


def _unit_range(x: Tensor, model: Model) -> Tensor:
    if model.spec.preparation.unit_range:
        return x
    return torch.from_numpy(unit_range(x.numpy()))


def _agreement(chances: Tensor, labels: Tensor) -> float:
    """Mean Dice of each case's registered labels with the fused ones, over the structures that either has."""
    fused, found = chances.argmax(dim=0), []
    for number in range(1, chances.shape[0]):
        own, registered = (fused == number).flatten(), (labels == number).flatten(1)
        sizes = own.sum() + registered.sum(dim=1)
        if sizes.any():
            found.append((2 * (own & registered).sum(dim=1) / sizes.clamp_min(1))[sizes > 0].mean())
    return float(torch.stack(found).mean()) if found else 1.0


def _correlation_within(chances: Tensor, correlation: Tensor) -> float:
    within = chances[1:].sum(dim=0) > _PRESENT
    return float(correlation[within].mean()) if within.any() else float(correlation.mean())


def _accepted(count: int, agreement: float, correlation: float, present: bool, settings: FusionSettings) -> tuple[bool, str]:
    if not present:
        return False, "The similar cases have none of the structures, so the model was used alone."
    if count < settings.fewest:
        return False, f"{count} similar cases have labels and {settings.fewest} are needed, so the model was used alone."
    measures = f"Dice {agreement:.2f} among the labels, squared correlation {correlation:.2f} of the images"
    if agreement >= settings.agreement and correlation >= settings.correlation:
        return (
            True,
            f"The labels of {count} similar cases, registered to the image, were averaged with the model's answer ({measures}).",
        )
    return False, (
        f"The labels of {count} similar cases, registered to the image, do not fit well enough to be used ({measures}; "
        f"{settings.agreement:.2f} and {settings.correlation:.2f} are needed), so the model was used alone."
    )
