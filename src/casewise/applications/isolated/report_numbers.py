"""A structured report's numbers as casewise names them: a probability, scores of classes, and measures with their unit."""

from __future__ import annotations

import re
from collections.abc import Iterable

from casewise.formats.dicom.measurement_report import Measurement
from casewise.formats.dicom.report_content import Code
from casewise.reporting import dicom_codes as codes

_MOST = 200
_PROBABILITIES = (codes.PROBABILITY[:2], ("111047", "DCM"))  # certainty of a finding, probability of cancer
_SCORE = re.compile(r"(?:probability|certainty|likelihood)(?: of)? (?P<name>.+)", re.IGNORECASE)
_WORDS = {code[:2]: words.replace(" ", "_") for words, code in codes.MEASURES.items()}
# UCUM units as the ends of measures' names: those that casewise writes, and others.
_UNITS = {unit: name for name, (unit, _, _) in codes.UNITS.items()} | {
    "1": "", "{ratio}": "", "cm3": "ml", "mL": "ml", "L": "l", "deg": "degrees", "g/ml{SUVbw}": "suv_bw", "{counts}": "counts",
    "um2/s": "um2_per_s", "mm2/s": "mm2_per_s", "1/min": "per_min",
}  # fmt: skip


def numbers_of(measurements: Iterable[Measurement]) -> tuple[float | None, dict[str, float], dict[str, float]]:
    """(probability, class → probability, measures) of a group."""
    probability: float | None = None
    scores: dict[str, float] = {}
    measures: dict[str, float] = {}
    for one in measurements:
        share, words = _share(one), one.name.meaning.strip()
        named = _SCORE.fullmatch(words)
        of_finding = one.name.key in _PROBABILITIES or words.casefold() == "probability"
        if share is not None and of_finding and probability is None:
            probability = share
        elif share is not None and named is not None and len(scores) < _MOST:
            scores.setdefault(named["name"], share)
        elif len(measures) < _MOST:
            name = measure_name(one)
            measures[name if name not in measures else f"{name}_{len(measures) + 1}"] = one.value
    return probability, scores, measures


def measure_name(one: Measurement) -> str:
    """``mean_attenuation_coefficient_hu``: how it was derived, what it is, and its unit."""
    words = _WORDS.get(one.name.key) or one.name.meaning or one.name.value
    parts = [one.derivation.meaning if one.derivation is not None else "", words]
    name = "_".join(slug(part) for part in parts if slug(part)) or "measure"
    unit = _unit(one.unit)
    return f"{name}_{unit}" if unit and not name.endswith(f"_{unit}") else name


def _share(one: Measurement) -> float | None:
    """As a share, from 0 to 1, of what has no unit or is a percentage."""
    unit = one.unit.value if one.unit is not None else "1"
    if unit not in ("1", "%", "{ratio}"):
        return None
    value = one.value / 100 if unit == "%" else one.value
    return value if 0 <= value <= 1 else None


def _unit(unit: Code | None) -> str:
    if unit is None:
        return ""
    return _UNITS[unit.value] if unit.value in _UNITS else slug(unit.value or unit.meaning)


def slug(text: str) -> str:
    """A name of small letters, digits and ``_``."""
    return re.sub(r"\W+", "_", text.lower()).strip("_")
