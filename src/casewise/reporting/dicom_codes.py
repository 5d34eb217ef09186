"""Codes of what a report says: DICOM's own where there is one, else those of casewise's own scheme."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

from casewise.finding import ABSENT, FINDING, MEASURE, QUALITY
from casewise.formats.dicom.segment_descriptions import PRIVATE_SCHEME, known, own_code, printable

Code = tuple[str, str, str]  # value, scheme, meaning

_FINDINGS: Mapping[str, Code] = {
    "tuberculosis": ("56717001", "SCT", "Tuberculosis"),
    "pneumothorax": ("36118008", "SCT", "Pneumothorax"),
    "pneumonia": ("233604007", "SCT", "Pneumonia"),
    "pleural effusion": ("60046008", "SCT", "Pleural effusion"),
    "fracture": ("125605004", "SCT", "Fracture"),
    "bleeding": ("50960005", "SCT", "Hemorrhage"),
}
MEASURES: Mapping[str, Code] = {
    "area": ("42798000", "SCT", "Area"),
    "volume": ("118565006", "SCT", "Volume"),
    "diameter": ("81827009", "SCT", "Diameter"),
    "longest diameter": ("103339001", "SCT", "Long Axis"),
    "length": ("410668003", "SCT", "Length"),
    "width": ("103355008", "SCT", "Width"),
}
UNITS: Mapping[str, Code] = {
    "ml": ("ml", "UCUM", "milliliter"),
    "l": ("l", "UCUM", "liter"),
    "mm": ("mm", "UCUM", "millimeter"),
    "cm": ("cm", "UCUM", "centimeter"),
    "mm2": ("mm2", "UCUM", "square millimeter"),
    "cm2": ("cm2", "UCUM", "square centimeter"),
    "mm3": ("mm3", "UCUM", "cubic millimeter"),
    "px": ("{pixels}", "UCUM", "pixels"),
    "voxels": ("{voxels}", "UCUM", "voxels"),
    "hu": ("[hnsf'U]", "UCUM", "Hounsfield unit"),
    "percent": ("%", "UCUM", "Percent"),
    "times": ("{times}", "UCUM", "times normal"),
    "s": ("s", "UCUM", "second"),
    "permm2": ("/mm2", "UCUM", "per square millimeter"),
    "permegapixel": ("{per megapixel}", "UCUM", "per megapixel"),
}
NO_UNITS: Code = ("1", "UCUM", "no units")
PERCENT = UNITS["percent"]
PROBABILITY: Code = ("111012", "DCM", "Certainty of Finding")  # 0 to 100 %
KIND: Code = ("KIND", PRIVATE_SCHEME, "Kind of Statement")
STATEMENTS: Mapping[str, Code] = {
    FINDING: ("52101004", "SCT", "Present"),
    ABSENT: ("272519000", "SCT", "Absent"),
    MEASURE: ("MEASURE", PRIVATE_SCHEME, "Measure"),
    QUALITY: ("QUALITY", PRIVATE_SCHEME, "Image Quality"),
}
_PROCEDURES: Mapping[str, Code] = {
    **dict.fromkeys(("CR", "DX", "RG"), ("43468-8", "LN", "XR unspecified body region")),
    "CT": ("25045-6", "LN", "CT unspecified body region"),
    "MR": ("25056-3", "LN", "MRI unspecified body region"),
    "PT": ("44136-0", "LN", "PET unspecified body region"),
    "NM": ("49118-3", "LN", "NM unspecified body region"),
}
_ANY_PROCEDURE: Code = ("363679005", "SCT", "Imaging procedure")
_LONGEST = 64


def concept(code: Code) -> Any:
    """For highdicom."""
    import highdicom

    value, scheme, meaning = code
    return highdicom.sr.CodedConcept(value, scheme, meaning)


def of_label(label: str) -> Code:
    """Of a finding's label, or of the structure that it lies in."""
    plain = label.replace("_", " ").strip().casefold()
    found = known(label)
    return found[1] if found else _FINDINGS.get(plain) or own(label)


def of_measure(name: str) -> tuple[Code, Code]:
    """(what, in which unit) of a measure whose name ends in its unit: Volume in ml of ``volume_ml``."""
    stem, _, suffix = name.rpartition("_")
    if not stem or suffix not in UNITS:
        stem, suffix = name, ""
    return MEASURES.get(stem.replace("_", " ").casefold()) or own(stem), UNITS.get(suffix, NO_UNITS)


def of_probability(label: str) -> Code:
    """Of the probability of one of several classes."""
    return own_code(f"probability of {label}"), PRIVATE_SCHEME, _meaning(f"Probability of {label}")


def of_procedure(modality: str | None) -> Code:
    """How the image was made."""
    return _PROCEDURES.get((modality or "").upper(), _ANY_PROCEDURE)


def own(name: str) -> Code:
    """In casewise's own scheme."""
    return own_code(name), PRIVATE_SCHEME, _meaning(name)


def _meaning(name: str) -> str:
    """The name as DICOM's LO can hold it, beginning with a capital: 64 letters, here 64 bytes, for some readers count these."""
    words = unicodedata.normalize("NFC", " ".join(printable(name).replace("\\", "/").replace("_", " ").split())) or "unnamed"
    return (words[:1].upper() + words[1:]).encode("utf-8", "replace")[:_LONGEST].decode("utf-8", "ignore").strip()
