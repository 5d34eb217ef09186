"""The organs application: a segmenter's or classifier's prediction, told as findings with their measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from casewise.applications.measures import measure
from casewise.errors import CasewiseError
from casewise.finding import Finding
from casewise.image import Box, Image

if TYPE_CHECKING:
    from casewise.models import Model, Prediction

NAME = "organs"


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
    if prediction.probabilities is None:
        return class_findings(prediction.scores, application)
    return structure_findings(prediction.labels, prediction.probabilities, image, application, masks)


def structure_findings(
    labels: tuple[str, ...],
    probabilities: npt.NDArray[np.float32],
    image: Image,
    application: str = NAME,
    masks: Mapping[str, Path] | None = None,
) -> list[Finding]:
    """One finding a structure that has a voxel, in the order of ``labels``; a structure that was not seen gives none.

    probabilities : (1 + structures, *spatial), background first; a voxel is the most probable one's. A finding's ``probability``
    is the mean over its voxels, its measures are :func:`casewise.applications.measures.measure`'s.
    """
    if probabilities.shape != (1 + len(labels), *image.spatial_shape):
        msg = (
            f"The prediction has shape {probabilities.shape}; for {len(labels)} structures on the image's grid "
            f"{image.spatial_shape} it must be {(1 + len(labels), *image.spatial_shape)}: predict this very image."
        )
        raise CasewiseError(msg)
    winner = probabilities.argmax(axis=0)
    files = masks or {}
    findings = []
    for number, label in enumerate(labels, start=1):
        mask = winner == number
        box = Box.around(mask)
        if box is not None:
            findings.append(
                Finding(
                    application,
                    label,
                    probability=float(probabilities[number][mask].mean(dtype=np.float64)),
                    box=box,
                    mask=files.get(label),
                    measures=measure(mask, image),
                )
            )
    return findings


def class_findings(scores: Mapping[str, float], application: str = NAME) -> list[Finding]:
    """One finding a class of the whole image, the most probable first."""
    ranked = sorted(scores.items(), key=lambda item: -item[1])
    return [Finding(application, label, probability=float(score)) for label, score in ranked]
