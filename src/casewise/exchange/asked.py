"""Which studies a source is asked for, and whether an answer is of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date

from casewise.errors import UsageError
from casewise.exchange.found import LONGEST, Study, is_odd
from casewise.exchange.identity import is_uid

_DAY = re.compile(r"\d{8}")
_ANY = re.compile(r"[*?\\]")  # what makes of a value a pattern, or a list


@dataclass(frozen=True)
class Query:
    """Which studies are asked for; what is None is not asked. dates : ``20240101-20240131``, as DICOM writes ranges.

    Raises UsageError for a value that is a pattern (``*``, ``?``), a list or no date.
    """

    study: str | None = None
    accession: str | None = field(default=None, repr=False)
    patient: str | None = field(default=None, repr=False)
    dates: str | None = None
    modality: str | None = None

    def __post_init__(self) -> None:
        exact = {"accession number": self.accession, "patient's identifier": self.patient, "modality": self.modality}
        for what, value in exact.items():
            if value is not None and (not value.strip() or len(value) > LONGEST or _ANY.search(value) or is_odd(value)):
                raise UsageError(f"A {what} has 1 to {LONGEST} letters, and none of * ? \\; correct it.")
        if self.study is not None and not is_uid(self.study):
            raise UsageError("A StudyInstanceUID has at most 64 digits and dots; correct it.")
        if self.dates is not None:
            check_dates(self.dates)

    def keys(self) -> dict[str, str]:
        """Keyword → value, of what is asked for."""
        asked = {
            "StudyInstanceUID": self.study,
            "AccessionNumber": self.accession,
            "PatientID": self.patient,
            "StudyDate": self.dates,
            "ModalitiesInStudy": self.modality,
        }
        return {keyword: value for keyword, value in asked.items() if value}

    def answered_by(self, study: Study) -> bool:
        """Whether a study is what was asked for: a source that ignores a key answers with the studies of everybody."""
        return (
            (self.study is None or study.uid == self.study)
            and (self.accession is None or study.accession == self.accession.strip())
            and (self.patient is None or study.patient.identifier == self.patient.strip())
            and (self.dates is None or _lies_in(study.date, self.dates))
            and (self.modality is None or not study.modalities or self.modality in study.modalities)
        )


def check_dates(text: str) -> None:
    """Raises UsageError for what is no day or range of days (``20240131``, ``20240101-20240131``, ``20240101-``)."""
    days = text.split("-")
    given = [day for day in days if day]
    if not given or len(days) > 2 or not all(_is_day(day) for day in given) or given != sorted(given):
        raise UsageError(f"{text!r} is no range of dates; give such as 20240131, 20240101-20240131 or 20240101-.")


def _is_day(text: str) -> bool:
    try:
        return bool(_DAY.fullmatch(text)) and bool(date(int(text[:4]), int(text[4:6]), int(text[6:])))
    except ValueError:
        return False


def _lies_in(day: str, dates: str) -> bool:
    first, dash, last = dates.partition("-")
    if not dash:
        return day == first
    return bool(day) and (not first or first <= day) and (not last or day <= last)
