"""Series, findings and masks of which DICOM objects are written in tests, and what a report says read back from the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from casewise import formats
from casewise.finding import ABSENT, QUALITY, Finding
from casewise.image import Image
from casewise.reporting.dicom_objects import About
from tests import dicom_studies
from tests.dicom_studies import Series

ABOUT = About("Nodule, right lung, 0.81", model="The model was used as it is", notes=("The film is rotated.",))
NODULE = Finding("nodules", "nodule", 0.8125, region="right lung", measures={"volume_ml": 4.5, "longest_diameter_mm": 7.2})
FINDINGS = (
    NODULE,
    Finding("tuberculosis", "tuberculosis", 0.03, kind=ABSENT),
    Finding("quality", "noise", kind=QUALITY, measures={"noise_percent": 3.25}),
)


def series(folder: Path, kind: str) -> Series:
    if kind in ("DX", "CR"):
        return dicom_studies.film(folder, rows=300, columns=250, modality=kind)
    if kind == "CT":
        return dicom_studies.ct(folder)
    negated = (0.0, -1.0, 0.0, -1.0, 0.0, 0.0) if kind == "negated" else None
    return dicom_studies.oblique_mr(folder, 12, orientation=negated)


def read(made: Series) -> Image:
    return formats.read(made.folder)


def items(dataset: Any, value_type: str, name: str | None = None) -> list[Any]:
    """The content items of a type, and of a concept's meaning, anywhere in a report, in its order."""
    found = []
    for item in dataset.get("ContentSequence", ()):
        named = item.ConceptNameCodeSequence[0].CodeMeaning if "ConceptNameCodeSequence" in item else None
        if item.ValueType == value_type and name in (None, named):
            found.append(item)
        found += items(item, value_type, name)
    return found


def numbers(dataset: Any) -> dict[str, tuple[float, str]]:
    """Concept → (value, unit) of the numbers in a report or part of one."""
    return {
        item.ConceptNameCodeSequence[0].CodeMeaning: (
            float(item.MeasuredValueSequence[0].NumericValue),
            item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue,
        )
        for item in items(dataset, "NUM")
    }


def texts(dataset: Any) -> list[str]:
    return [str(item.TextValue) for item in items(dataset, "TEXT")]


def points(item: Any) -> np.ndarray:
    """(n, 2) or (n, 3) of coordinates."""
    return np.reshape(np.asarray(item.GraphicData, float), (-1, 3 if item.ValueType == "SCOORD3D" else 2))


def area_and_centroid(line: np.ndarray) -> tuple[float, np.ndarray]:
    """Of a closed line (n, 2), or (n, 3) in a plane of space."""
    flat = np.pad(line, ((0, 0), (0, 3 - line.shape[1])))
    crosses = np.cross(flat[:-1] - flat[0], flat[1:] - flat[0]) / 2
    area = np.linalg.norm(crosses.sum(axis=0))
    shares = crosses @ crosses.sum(axis=0) / area**2
    return float(area), ((line[0] + line[:-1] + line[1:]) / 3 * shares[:, None]).sum(axis=0)
