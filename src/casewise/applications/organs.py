"""The organs application: a segmenter's or classifier's prediction, reported as findings with their measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from casewise.applications.measures import measure
from casewise.errors import CasewiseError
from casewise.finding import ABSENT, FINDING, MEASURE, Finding
from casewise.image import Box, Image
from casewise.models.prediction import Prediction
from casewise.models.tasks import Classification

if TYPE_CHECKING:
    from casewise.models import Model
    from casewise.models.regions import Regions

NAME = "organs"
_NORMAL = ("normal", "none", "no finding", "nothing", "negative", "healthy", "no", "absent")
# Parts of words: a structure whose name holds one is a finding where it is outlined; any other outline is a measure.
_DISEASE = (
    "lesion", "tumor", "tumour", "nodule", "cancer", "carcinoma", "metasta", "glioma", "glioblastoma", "meningioma", "lymphoma",
    "sarcoma", "adenoma", "polyp", "cyst", "haemorrhage", "hemorrhage", "haematoma", "hematoma", "bleed", "infarct", "stroke",
    "ischaemi", "ischemi", "necrosis", "edema", "oedema", "effusion", "pneumothorax", "pneumonia", "consolidation", "opacity",
    "infiltrat", "fibrosis", "emphysema", "atelectasis", "tuberculosis", "covid", "fracture", "aneurysm", "stenosis", "thromb",
    "embol", "plaque", "calcification", "hyperintensit", "abscess", "stone", "wound", "ulcer", "melanoma", "abnormal",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Organs:
    """Finds the structures (or the class) that ``model`` was trained for; see :class:`casewise.applications.Application`."""

    model: Model
    device: str = "auto"
    name: str = NAME

    def analyze(self, image: Image) -> list[Finding]:
        return findings_of(self.model.predict(image, self.device), image, self.name)


def findings_of(
    prediction: Prediction, image: Image, application: str = NAME, masks: Mapping[str, Path] | None = None
) -> list[Finding]:
    """Findings of a segmenter's or a classifier's prediction of ``image``.

    masks : structure → the file its mask was written to, where it was.
    """
    if not prediction.outlines:
        return class_findings(prediction.scores, application)
    return _structure_findings(prediction, image, application, masks or {})


def structure_findings(
    labels: tuple[str, ...],
    probabilities: npt.NDArray[np.float32],
    image: Image,
    application: str = NAME,
    masks: Mapping[str, Path] | None = None,
    regions: Regions = (),
) -> list[Finding]:
    """One finding a structure that has a voxel, in the order of ``labels``; a structure that was not seen gives none.

    probabilities : (1 + structures, *spatial), background first; a voxel is the most probable one's. A finding's ``probability``
    is the mean over its voxels, its measures are :func:`casewise.applications.measures.measure`'s. An outline is a measure, unless
    the structure's name is that of a sign of disease (:func:`names_disease`). regions : of structures that overlap, see
    :mod:`casewise.models.regions`.
    """
    kinds = max(max(own) for own in regions) if regions else len(labels)
    if probabilities.shape != (1 + kinds, *image.spatial_shape):
        msg = (
            f"The prediction has shape {probabilities.shape}; for {len(labels)} structures on the image's grid "
            f"{image.spatial_shape} it must be {(1 + kinds, *image.spatial_shape)}: predict this very image."
        )
        raise CasewiseError(msg)
    return _structure_findings(
        Prediction(labels, probabilities, affine=image.affine, regions=regions, header=image.header.of_masks(image.spatial_dims)),
        image,
        application,
        masks or {},
    )


def _structure_findings(prediction: Prediction, image: Image, application: str, files: Mapping[str, Path]) -> list[Finding]:
    findings = []
    for number, (label, mask) in enumerate(prediction.masks().items()):
        box = Box.around(mask)
        if box is not None:
            findings.append(
                Finding(
                    application,
                    label,
                    probability=prediction.chance(number, mask),
                    box=box,
                    mask=files.get(label),
                    measures=measure(mask, image),
                    kind=FINDING if names_disease(label) else MEASURE,
                )
            )
    return findings


def class_findings(scores: Mapping[str, float], application: str = NAME) -> list[Finding]:
    """One finding: the most probable class of the whole image, with the ``scores`` of all of them.

    It is of the kind ``absent`` where that class is the normal one.
    """
    label, score = max(scores.items(), key=lambda item: item[1])
    kind = ABSENT if label.casefold().replace("_", " ") in _NORMAL else FINDING
    ranked = dict(sorted(((name, float(value)) for name, value in scores.items()), key=lambda item: -item[1]))
    return [Finding(application, label, probability=float(score), kind=kind, scores=ranked)]


def detected_by(model: Model) -> tuple[str, ...]:
    """The signs of disease that a model finds: a classifier's classes but the normal one, structures that are named so."""
    if isinstance(model.kind, Classification):
        return tuple(label for label in model.labels if label.casefold().replace("_", " ") not in _NORMAL)
    return tuple(label for label in model.labels if names_disease(label))


def names_disease(label: str) -> bool:
    """Whether a structure's name is that of a sign of disease (a tumour, a haemorrhage), and not of anatomy."""
    return any(word in label.casefold() for word in _DISEASE)
