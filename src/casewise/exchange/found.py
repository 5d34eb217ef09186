"""What a source says of the studies, series and instances that it has.

It is not believed: a UID is checked, as it becomes a part of paths, and texts lose what is no text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from casewise.errors import CasewiseError
from casewise.exchange.identity import is_uid

MOST_ANSWERS = 50_000  # to one question, so that memory stays bounded
MOST_SILENT = 3  # times in a row that a source does not answer, before the rest is given up
LONGEST = 64  # letters of a text of these attributes (DICOM PS3.5: LO, SH)

Values = Mapping[str, str]  # keyword → value as text, several values parted by a backslash


class SourceError(CasewiseError):
    """A source refuses, breaks off, or answers what it was not asked for."""


class AwayError(SourceError):
    """A source does not answer."""


def too_many(source: object) -> SourceError:
    """To be raised for more than ``MOST_ANSWERS`` answers."""
    return SourceError(f"{source} answers with more than {MOST_ANSWERS:,} matches; narrow the selection.")


@dataclass(frozen=True)
class Patient:
    """Who a source says that a study is of. Nothing of it is shown: neither by ``repr`` nor in a message."""

    identifier: str = field(default="", repr=False)
    issuer: str = field(default="", repr=False)
    born: str = field(default="", repr=False)

    def is_surely(self, other: Patient) -> bool:
        """Whether both are one patient: of one identifier, and in nothing else that both state different."""
        if not self.identifier or self.identifier != other.identifier:
            return False
        return all(not a or not b or a == b for a, b in ((self.issuer, other.issuer), (self.born, other.born)))


@dataclass(frozen=True)
class Study:
    """A study. date, time : ``20240131``, ``143000``; empty where the source does not say. modalities : of its series; empty where
    it does not say.
    """

    LEVEL: ClassVar = "STUDY"  # of a question for such
    ATTRIBUTES: ClassVar = (  # that are asked for
        "StudyInstanceUID",
        "AccessionNumber",
        "PatientID",
        "IssuerOfPatientID",
        "PatientBirthDate",
        "StudyDate",
        "StudyTime",
        "ModalitiesInStudy",
    )

    uid: str
    accession: str = field(default="", repr=False)
    patient: Patient = Patient()
    date: str = ""
    time: str = ""
    modalities: frozenset[str] = frozenset()

    @classmethod
    def of(cls, values: Values) -> Study:
        """Raises SourceError where the study's UID is none."""
        patient = Patient(*(plain(values, name) for name in ("PatientID", "IssuerOfPatientID", "PatientBirthDate")))
        modalities = frozenset(filter(None, plain(values, "ModalitiesInStudy").split("\\")))
        date, time = plain(values, "StudyDate"), plain(values, "StudyTime")
        return cls(uid(values, "StudyInstanceUID"), plain(values, "AccessionNumber"), patient, date, time, modalities)


@dataclass(frozen=True)
class Series:
    """A series. instances : how many it has, where the source says."""

    LEVEL: ClassVar = "SERIES"
    ATTRIBUTES: ClassVar = (
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "Modality",
        "SeriesDescription",
        "BodyPartExamined",
        "NumberOfSeriesRelatedInstances",
    )

    study: str
    uid: str
    modality: str = ""
    description: str = field(default="", repr=False)
    body_part: str = ""
    instances: int | None = None

    @classmethod
    def of(cls, values: Values) -> Series:
        """Raises SourceError where a UID is none."""
        number = plain(values, "NumberOfSeriesRelatedInstances")
        return cls(
            uid(values, "StudyInstanceUID"),
            uid(values, "SeriesInstanceUID"),
            plain(values, "Modality"),
            plain(values, "SeriesDescription"),
            plain(values, "BodyPartExamined"),
            int(number) if re.fullmatch(r"\d{1,9}", number) else None,
        )


@dataclass(frozen=True)
class Listed:
    """An instance that a source has. sop_class : empty where the source does not say."""

    LEVEL: ClassVar = "IMAGE"
    ATTRIBUTES: ClassVar = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")

    study: str
    series: str
    uid: str
    sop_class: str = ""

    @classmethod
    def of(cls, values: Values) -> Listed:
        """Raises SourceError where a UID is none."""
        sop_class = plain(values, "SOPClassUID")
        study, series, sop = (uid(values, name) for name in cls.ATTRIBUTES[:3])
        return cls(study, series, sop, sop_class if is_uid(sop_class) else "")


def plain(values: Values, keyword: str) -> str:
    """A text of at most 64 letters (one of several values: of these all), without control characters and blanks about it."""
    text = unicodedata.normalize("NFC", values.get(keyword, ""))
    text = "".join(letter for letter in text if not is_odd(letter)).strip()
    return text if keyword == "ModalitiesInStudy" else text[:LONGEST].strip()


def uid(values: Values, keyword: str) -> str:
    """A UID that may become a part of a path. Raises SourceError where it is none; what it is instead is not quoted."""
    text = values.get(keyword, "").strip(" \x00")
    if not is_uid(text):
        raise SourceError(f"The source answered with a {keyword} that is none; only digits and dots are taken.")
    return text


def dataset_values(dataset: object, keywords: Sequence[str]) -> dict[str, str]:
    """The attributes of a pydicom data set as text; one that cannot be decoded (a wrong character set) is left out."""
    from casewise.formats.dicom.elements import text

    found = {}
    for keyword in keywords:
        try:
            found[keyword] = text(dataset, keyword)
        except (TypeError, ValueError, LookupError, NotImplementedError, AttributeError):  # UnicodeDecodeError is a ValueError
            continue
    return found


def with_uids(values: Values, keys: Values) -> dict[str, str]:
    """An answer with the UIDs that were asked for, where a source does not repeat them."""
    return {**values, **{name: uid for name, uid in keys.items() if name.endswith("UID") and not values.get(name)}}


def is_odd(text: str) -> bool:
    """Whether a text has control characters, or letters that are none."""
    return any(unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co", "Cn") for letter in text)
