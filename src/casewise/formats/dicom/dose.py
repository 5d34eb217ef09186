"""RT dose: where the planes of a dose grid lie (PS3.3 C.8.8.3.2), and what its stored numbers mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from casewise.errors import CasewiseError, UnreadableImageError
from casewise.formats.dicom.elements import Vector, count_of, spoken, text, vector

_NEAR = 0.01  # mm
_AXIAL = 1e-4


def is_dose(dataset: Any) -> bool:
    """Whether a data set is an RT dose."""
    return text(dataset, "Modality").upper() == "RTDOSE"


def plane_positions(path: Path, dataset: Any, frames: int, position: Vector, orientation: Vector) -> list[Vector] | None:
    """Position of each frame's first pixel, LPS mm, by GridFrameOffsetVector; None for an image that has none.

    position : ImagePositionPatient. orientation : directions of a row and of a column, unit vectors.
    A vector that begins with 0 holds distances from the first plane, along the normal (row × column). One that begins with the
    z of ImagePositionPatient, in an axial grid, holds each plane's z. Raises UnreadableImageError for any other.
    """
    if count_of(dataset, "GridFrameOffsetVector") == 0:
        if is_dose(dataset):
            raise UnreadableImageError(f"{path} does not say where its {frames} dose planes lie: it has no GridFrameOffsetVector.")
        return None
    offsets = vector(dataset, "GridFrameOffsetVector", frames)
    if offsets is None:
        held = count_of(dataset, "GridFrameOffsetVector")
        what = f"{held} values for {frames} frames" if held != frames else "values that are not numbers"
        raise UnreadableImageError(f"{path} has a GridFrameOffsetVector of {what}; one number a frame is allowed.")
    first = np.asarray(position)
    if offsets[0] == 0:
        normal = np.cross(orientation[:3], orientation[3:])
        return [tuple(float(x) for x in first + offset * normal) for offset in offsets]
    if abs(offsets[0] - position[2]) > _NEAR:
        msg = (
            f"{path} has a GridFrameOffsetVector that begins with {offsets[0]:g}; 0 or the z of ImagePositionPatient "
            f"({position[2]:g}) is allowed."
        )
        raise UnreadableImageError(msg)
    axial = np.abs(np.abs(orientation) - (1, 0, 0, 0, 1, 0)).max() < _AXIAL
    if not axial:
        msg = f"{path} gives the z of its dose planes, but they are not axial (ImageOrientationPatient), so that they lie nowhere."
        raise UnreadableImageError(msg)
    return [(position[0], position[1], float(offset)) for offset in offsets]


def dose_scaling(dataset: Any) -> float | None:
    """What a stored number is multiplied with to be a dose; None for what is no dose. Raises CasewiseError if it cannot be."""
    if not is_dose(dataset):
        return None
    scaling = vector(dataset, "DoseGridScaling", 1)
    if scaling is None or not scaling[0] > 0:
        stated = spoken(dataset, "DoseGridScaling") if "DoseGridScaling" in dataset else "missing"
        raise CasewiseError(f"a dose grid without its unit: DoseGridScaling is {stated}; a positive number is allowed.")
    return scaling[0]


def dose_unit(dataset: Any) -> str | None:
    """``Gy`` or ``relative``; None for what is no dose or does not say."""
    return {"GY": "Gy", "RELATIVE": "relative"}.get(text(dataset, "DoseUnits").upper()) if is_dose(dataset) else None
