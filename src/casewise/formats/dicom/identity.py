"""Whose a DICOM instance is, of which study and in which space: what the slices of one volume must have in common.

The values themselves are never kept: they are compared as digests under a secret of this process.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import unicodedata
from dataclasses import dataclass
from typing import Any

from casewise.formats.dicom.elements import text

_SECRET = secrets.token_bytes(32)
# By the standard each of these is the same throughout one series. Several of a kind, since de-identified files lack some of them.
_PATIENT = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex")
_STUDY = ("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber")
_SERIES = ("FrameOfReferenceUID", "Modality", "SeriesNumber", "PatientAge", "DeviceSerialNumber")


@dataclass(frozen=True)
class Owner:
    """Digests that distinguish patients, studies and series (with their frame of reference)."""

    patient: str
    study: str
    series: str


def owner_of(dataset: Any) -> Owner:
    """The owner of an instance, by its header."""
    return Owner(_digest(dataset, _PATIENT), _digest(dataset, _STUDY), _digest(dataset, _SERIES))


def patient_of(dataset: Any) -> str | None:
    """A digest of who the patient is; None where the header does not say."""
    return _digest(dataset, _PATIENT[:4]) if any(_plain(dataset, keyword) for keyword in _PATIENT[:4]) else None


def _digest(dataset: Any, keywords: tuple[str, ...]) -> str:
    said = "\n".join(_plain(dataset, keyword) for keyword in keywords)
    return hashlib.blake2b(said.encode("utf-8", "surrogatepass"), digest_size=12, key=_SECRET).hexdigest()


def _plain(dataset: Any, keyword: str) -> str:
    """Without what writers pad a value with: blanks, empty parts of a name, letters' case, zeros of a number or time."""
    try:
        value = unicodedata.normalize("NFC", text(dataset, keyword)).casefold()
    except (TypeError, ValueError, NotImplementedError):
        return "?"
    if keyword == "PatientName":
        return re.sub(r"[\s^=]+", " ", value).strip()
    if keyword == "SeriesNumber":
        return value.lstrip("+0")
    return re.sub(r"\.0*$", "", value) if keyword == "StudyTime" else value
