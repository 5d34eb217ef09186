"""Lesion networks over several sites: what :mod:`casewise.adaptation.sites` needs of them.

A case stands for an examination; its slices are made ready once. Accuracy is the Dice of the network's map with the lesions' mask
over an examination's slices, at the network's scale: registering the sequences again after every stage would take hours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from casewise.case import Case
from casewise.errors import CasewiseError
from casewise.lesions.batches import LesionBatches, LesionObjective, SliceSampling
from casewise.lesions.examinations import labelled_cases, unlabelled_cases
from casewise.lesions.prediction import sequences_of, settings_of
from casewise.lesions.prepared import Slices, prepared
from casewise.models.model import Model
from casewise.models.networks.lesion_parts import LesionAnswer
from casewise.training.curriculum import ScheduledTraining, views
from casewise.training.fit import fit

_BATCH = 16


@dataclass(frozen=True)
class Gathered:
    """An archive's examinations for a lesion model. unlabelled : of the deployment site. left_out : a sentence for each that is."""

    labelled: tuple[Case, ...]
    unlabelled: tuple[Case, ...]
    left_out: tuple[str, ...]


def gathered(model: Model, cases: Sequence[Case], deployment: str | None) -> Gathered:
    """No image is read. Raises CasewiseError where no examination has a mask of the model's lesions."""
    lesion = model.spec.structures[0]
    found, left_out = labelled_cases(cases, lesion)
    names = sequences_of(model)
    more = unlabelled_cases([case for case in cases if case.site == deployment], lesion) if deployment else []
    return Gathered(
        tuple(own for own in found if set(own.sequences) & set(names)),
        tuple(own for own in more if set(own.sequences) & set(names)),
        (
            *left_out,
            *(
                f"{own.name} has none of the sequences {', '.join(names)} and was left out."
                for own in found
                if not set(own.sequences) & set(names)
            ),
        ),
    )


def case_of(model: Model, examination: Case) -> Case:
    """What stands for an examination; by the key of an image that the model was trained on, where it was on any."""
    return replace(examination, key=next((key for key in examination.keys if key in model.trained_on), examination.key))


class LesionLearning:
    """Implements :class:`casewise.adaptation.site_learning.Learning` for examinations whose slices lie in a folder.

    examinations : labelled ones, and of the deployment site others with an empty mask, which are asked for their uncertainty alone.
    folder : where their slices are kept. reading : called with the number of examinations made ready, and of all. failed : called
    with each that cannot be used, in one sentence.
    Raises CasewiseError for a model without a map.
    """

    measure = "dice"

    def __init__(
        self,
        model: Model,
        examinations: Sequence[Case],
        folder: Path,
        device: str,
        reading: Callable[[int, int], None] | None = None,
        failed: Callable[[str], None] | None = None,
    ) -> None:
        if not settings_of(model).mapped:
            raise CasewiseError(f"Model {model.name} has no map of lesions, by which it could be measured at each site.")
        self._device, self._settings = device, dict(model.lineage.settings)
        size = model.spec.preparation.size[0]
        ready = prepared(examinations, sequences_of(model), size, folder, reading, failed)
        self._of = {
            case_of(model, examination).key: (examination, slices)
            for examination, slices in zip(examinations, ready, strict=True)
            if len(slices.x)
        }

    def usable(self, cases: Sequence[Case]) -> list[Case]:
        """Those of which there are slices."""
        return [case for case in cases if case.key in self._of]

    def accuracy(self, model: Model, cases: Sequence[Case]) -> float:
        threshold = settings_of(model).rule.threshold
        return float(np.mean([self._dice(model, self._of[case.key][1], threshold) for case in cases]))

    def uncertainties(self, model: Model, cases: Sequence[Case]) -> list[float]:
        """The entropy of the map, averaged over an examination's slices: of the mean of what the network says of a slice as it is,
        a little shifted, and a little darker and brighter.
        """
        return [self._entropy(model, self._of[case.key][1]) for case in cases]

    def continued(self, model: Model, cases: Sequence[Case], stage: ScheduledTraining) -> Model:
        """Map and class are trained together."""
        own = settings_of(model)
        how = SliceSampling(
            model.spec.classes,
            own.sequences,
            own.class_sequences,
            own.scores,
            carries_score=own.map_score,
            augmentation=stage.settings.augmentation,
            mirror=bool(self._settings.get("mirror", True)),
        )
        keys = [key for case in cases for key in self._of[case.key][0].keys]
        batches = LesionBatches([self._of[case.key][1] for case in cases], how, order=stage.schedule, cases=keys)
        return fit(
            model,
            batches,
            LesionObjective(how),
            trainable=("localiser", "classifier"),
            settings=stage.settings,
            name=model.name,
            checkpoint=stage.checkpoint,
            progress=stage.progress,
        )

    def _dice(self, model: Model, slices: Slices, threshold: float) -> float:
        """1 where neither the map nor the mask has a lesion."""
        drawn = self._probabilities(model, slices.x.astype(np.float32)) >= threshold
        both = drawn.sum() + (slices.mask > 0).sum()
        return float(2 * (drawn & (slices.mask > 0)).sum() / both) if both else 1.0

    def _entropy(self, model: Model, slices: Slices) -> float:
        entropies = []
        for plane in slices.x:
            answers = [
                np.roll(self._probabilities(model, view.numpy()[None])[0], back, (0, 1))
                for view, back in views(torch.from_numpy(plane.astype(np.float32)), unit_range=True)
            ]
            mean = np.clip(np.mean(answers, axis=0, dtype=np.float64), 1e-6, 1 - 1e-6)
            entropies.append(float(-(mean * np.log(mean) + (1 - mean) * np.log(1 - mean)).mean()) / math.log(2))
        return float(np.mean(entropies))

    def _probabilities(self, model: Model, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(N, row, column), 0 to 1, of slices (N, sequences, row, column)."""
        network = model.ready(self._device)
        found = []
        with torch.inference_mode():
            for start in range(0, len(x), _BATCH):
                answer: LesionAnswer = network(torch.from_numpy(x[start : start + _BATCH]).to(self._device))
                if answer.map is None:
                    raise CasewiseError(f"Model {model.name} gives no map of lesions.")
                found.append(answer.map.float().sigmoid().cpu().numpy())
        return np.concatenate(found)


def vectors_of_examinations(
    model: Model, examinations: Sequence[Case], vectors: Mapping[str, npt.NDArray[np.float32]]
) -> dict[str, npt.NDArray[np.float32]]:
    """By the key of each examination's case, the mean vector (dimension,) of its images; vectors : of images, by key."""
    found = {}
    for examination in examinations:
        own = [vectors[key] for key in examination.keys if key in vectors]
        if own:
            found[case_of(model, examination).key] = np.stack(own).mean(axis=0, dtype=np.float32)
    return found
