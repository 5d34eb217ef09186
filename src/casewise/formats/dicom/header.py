"""What is kept of a DICOM header: what describes the image, never who it is of."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from casewise.formats.dicom.dose import dose_unit
from casewise.formats.dicom.elements import text, vector
from casewise.formats.dicom.pseudonyms import pseudonym_of
from casewise.formats.dicom.region import described_part, image_type, region_code, sop_class
from casewise.formats.dicom.sequence_words import description_words, folded, machine_words, modality_code, view_words
from casewise.formats.found import Kind

_OLDEST = 90.0
# Names of persons: their words are left out of descriptions even where the vocabulary has them.
_NAMES = (
    "PatientName",
    "OtherPatientNames",
    "PatientBirthName",
    "PatientMotherBirthName",
    "ResponsiblePerson",
    "ReferringPhysicianName",
    "PerformingPhysicianName",
    "PhysiciansOfRecord",
    "NameOfPhysiciansReadingStudy",
    "RequestingPhysician",
    "OperatorsName",
)
_DESCRIPTIONS = ("SeriesDescription", "ProtocolName", "PulseSequenceName", "SequenceName")
_REGIONS = ("SeriesDescription", "ProtocolName", "StudyDescription")  # the nearest to the image first
_MOVING = ("US", "IVUS", "XA", "RF", "ES")  # whose frames without a place are a film
_UNITS = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}


def about(dataset: Any, layers: list[Any]) -> dict[str, object]:
    """Plain values under lower-case keys, absent where the file does not say.

    modality, sequence, sequence_name, body_part, view, age (years, 90 for older ones), sex (M, F, O), manufacturer, scanner, window
    (centre, width in the pixels' unit), unit (of a dose: Gy, relative), subject (a pseudonym), series (UID), format,
    directions (where rows and columns run to in the patient: L, R, A, P, H or F, the first letter alone of oblique ones).
    sop_class, image_type, region, described_part: as :class:`casewise.header.Header` explains them.
    Of free text only the words of a vocabulary are kept (:mod:`casewise.formats.dicom.sequence_words`): T2, FLAIR, axial, head, …
    """
    personal = _personal(dataset)
    values: dict[str, object | None] = {
        "format": Kind.DICOM.value,
        "modality": modality_code(_said(dataset, "Modality")),
        "sequence": _described(dataset, _DESCRIPTIONS, personal),
        "sequence_name": _described(dataset, ("SequenceName", "PulseSequenceName"), personal),
        "body_part": _described(dataset, ("BodyPartExamined",), personal),
        "view": view_words(_said(dataset, "ViewPosition"), personal) or None,
        "sop_class": sop_class(dataset),
        "image_type": image_type(_said(dataset, "ImageType")) or None,
        "region": region_code(dataset),
        "described_part": described_part([_said(dataset, keyword) for keyword in _REGIONS], personal),
        "age": _age(dataset),
        "sex": _sex(dataset),
        "manufacturer": machine_words(_said(dataset, "Manufacturer"), personal) or None,
        "scanner": machine_words(_said(dataset, "ManufacturerModelName"), personal) or None,
        "window": window(layers),
        "unit": dose_unit(dataset),
        "directions": _directions(dataset),
        "subject": pseudonym(dataset),
        "series": text(dataset, "SeriesInstanceUID") or None,
    }
    return {key: value for key, value in values.items() if value is not None}


def pseudonym(dataset: Any) -> str | None:
    """The patient's pseudonym in this process, by identifier and issuer; None where the header has no identifier."""
    identifier = text(dataset, "PatientID")
    return pseudonym_of(identifier, text(dataset, "IssuerOfPatientID")) if identifier else None


def window(layers: list[Any]) -> tuple[float, float] | None:
    """(centre, width) of the first window in a frame's functional groups or in the data set."""
    for layer in layers:
        holder = (layer.get("FrameVOILUTSequence") or [layer])[0]
        centre, width = (_first(holder, keyword) for keyword in ("WindowCenter", "WindowWidth"))
        if centre is not None and width is not None and width > 0:
            return centre, width
    return None


def _directions(dataset: Any) -> tuple[str, str] | None:
    value = dataset.get("PatientOrientation")
    if value is None or isinstance(value, str) or len(value) != 2:
        return None
    along_row, along_column = (str(letters)[:1].upper() for letters in value)
    return (along_row, along_column) if {along_row, along_column} <= set("LRAPHF") else None


def _first(dataset: Any, keyword: str) -> float | None:
    value = dataset.get(keyword)
    values = value if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]
    try:
        return float(values[0])
    except (TypeError, ValueError, IndexError):
        return None


def _personal(dataset: Any) -> set[str]:
    names = [folded(_said(dataset, keyword)) for keyword in _NAMES]
    # What has a digit in it is a code (Brain-Tumor-01), whose words are nobody's.
    parts = (re.split(r"[\W_]+", name) for name in names if not any(letter.isdigit() for letter in name))
    return {word for words in parts for word in words if len(word) >= 2}


def _said(dataset: Any, keyword: str) -> str:
    """An element's text; empty where it cannot be decoded."""
    try:
        return text(dataset, keyword)
    except (TypeError, ValueError, LookupError, NotImplementedError):
        return ""


def _described(dataset: Any, keywords: tuple[str, ...], personal: set[str]) -> str | None:
    """What the first of the elements that says something says, or a later one that says the same words and more."""
    first = ""
    for keyword in keywords:
        words, whole = description_words(_said(dataset, keyword), personal)
        if words and not first:
            first = words
            if whole:
                break
        elif whole and _words(first) <= _words(words):
            return words
    return first or None


def _words(description: str) -> set[str]:
    return set(re.split(r"[\W_]+", description.lower()))


def _age(dataset: Any) -> float | None:
    match = re.fullmatch(r"(\d{1,3})([YMWD])", text(dataset, "PatientAge").upper())
    if match and int(match[1]) > 0:
        return min(round(int(match[1]) * _UNITS[match[2]], 2), _OLDEST)
    born, seen = (text(dataset, keyword) for keyword in ("PatientBirthDate", "StudyDate"))
    if born != seen and re.fullmatch(r"\d{8}", born) and re.fullmatch(r"\d{8}", seen):
        years = int(seen[:4]) - int(born[:4]) - (seen[4:] < born[4:])
        return min(float(years), _OLDEST) if 0 <= years < 130 else None
    return None


def _sex(dataset: Any) -> str | None:
    sex = text(dataset, "PatientSex").upper()
    return sex if sex in ("M", "F", "O") else None


def frame_times(dataset: Any, count: int) -> tuple[float, ...] | None:
    """When each of ``count`` frames was taken, in ms since the first.

    Empty where they follow in time and the file does not say when; None where nothing says that they follow in time.
    """
    vector_of = vector(dataset, "FrameTimeVector", count)  # of each frame since the one before, the first 0
    step = vector(dataset, "FrameTime", 1)
    rate = next((one[0] for word in ("CineRate", "RecommendedDisplayFrameRate") if (one := vector(dataset, word, 1))), 0.0)
    if vector_of is not None and all(step >= 0 for step in vector_of):
        return tuple(round(float(time), 3) for time in np.cumsum(vector_of))
    step_ms = step[0] if step is not None and step[0] > 0 else 1000 / rate if rate > 0 else 0.0
    if step_ms > 0:
        return tuple(round(step_ms * number, 3) for number in range(count))
    return () if text(dataset, "Modality") in _MOVING else None


def pixel_size(dataset: Any) -> tuple[tuple[float, float], str] | None:
    """(row, column) size in mm and where it holds, for a picture that does not lie in patient space; None if unknown."""
    for keyword, where in (
        ("PixelSpacing", "patient"),
        ("ImagerPixelSpacing", "detector"),
        ("NominalScannedPixelSpacing", "film"),
    ):
        size = vector(dataset, keyword, 2)
        if size is not None and all(1e-6 < x < 1e4 for x in size):
            return (size[0], size[1]), where
    return _ultrasound(dataset)


def _ultrasound(dataset: Any) -> tuple[tuple[float, float], str] | None:
    """From calibrated regions in centimetres, where they all agree."""
    centimetres = 3
    sizes = set()
    for region in dataset.get("SequenceOfUltrasoundRegions") or []:
        units = [region.get(f"PhysicalUnits{axis}Direction") for axis in "XY"]
        deltas = [vector(region, f"PhysicalDelta{axis}", 1) for axis in "YX"]
        if units != [centimetres, centimetres] or deltas[0] is None or deltas[1] is None:
            return None
        sizes.add((round(abs(deltas[0][0]) * 10, 6), round(abs(deltas[1][0]) * 10, 6)))
    return (sizes.pop(), "patient") if len(sizes) == 1 and min(*next(iter(sizes))) > 1e-6 else None
