"""Conditions of rules: a field of an image, an operator, a value. Never a program's text."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from casewise.errors import UsageError
from casewise.formats.dicom.file import dataset_of
from casewise.formats.dicom.header import about
from casewise.formats.dicom.tags import NETWORK, NUMBERS, TEXTS, stated, stated_in
from casewise.image import Image
from casewise.names import same_category

# What an image's header keeps of its file, by the name under which it does.
_KEPT = (
    "category", "site", "modality", "sequence", "sequence_name", "body_part", "view", "age", "sex", "manufacturer", "scanner",
    "photometric", "format",
)  # fmt: skip
# DICOM keywords that name no patient, and under which name a header keeps what it keeps of them. That is not all: of free text only
# the words of a vocabulary. So the first is looked for in the file itself; the second is taken where the file does not say it.
_KEYWORDS = {name: (name,) for name in (*TEXTS, *NUMBERS)} | {
    "Modality": ("modality",),
    "PatientAge": ("age",),
    "PatientSex": ("sex",),
    "PhotometricInterpretation": ("photometric",),
    "SeriesDescription": ("SeriesDescription", "sequence"),
    "SequenceName": ("SequenceName", "sequence_name"),
    "BodyPartExamined": ("BodyPartExamined", "body_part"),
    "ViewPosition": ("ViewPosition", "view"),
    "Manufacturer": ("Manufacturer", "manufacturer"),
    "ManufacturerModelName": ("ManufacturerModelName", "scanner"),
}
FIELDS: dict[str, tuple[str, ...]] = {name: (name,) for name in (*_KEPT, *NETWORK)} | _KEYWORDS
_OF_FILE = frozenset((*TEXTS, *NUMBERS, *NETWORK))
_NUMERIC = frozenset((*NUMBERS, "age", "PatientAge"))
OPERATORS = ("is", "is not", "contains", "starts with", "one of", "at least", "at most", "known")


@dataclass(frozen=True)
class Condition:
    """``field operator value``: text is compared without regard to capitals; a field that is not known meets only ``known false``.

    field : of ``FIELDS``. value : text or a number; a list of them for ``one of``; a number for ``at least`` and ``at most``; true
    or false for ``known``.
    """

    field: str
    operator: str
    value: object

    def __post_init__(self) -> None:
        if self.field not in FIELDS:
            raise UsageError(f"field = {self.field!r} is not known; a condition's field is one of {', '.join(FIELDS)}.")
        if self.operator not in OPERATORS:
            raise UsageError(f"operator = {self.operator!r} is not known; it is one of {', '.join(map(repr, OPERATORS))}.")
        wanted, good = self._wanted()
        if not good:
            raise UsageError(f"value = {self.value!r} does not fit the operator {self.operator!r}, which takes {wanted}.")
        if self.field in _NUMERIC and self.operator != "known":
            given = self.value if isinstance(self.value, (list, tuple)) else (self.value,)
            if not all(_is_number(value) for value in given):
                raise UsageError(f"value = {self.value!r} is not allowed: {self.field} is a number.")

    def _wanted(self) -> tuple[str, bool]:
        value = self.value
        if self.operator == "known":
            return "true or false", isinstance(value, bool)
        if self.operator in ("at least", "at most"):
            return "a number", _is_number(value)
        if self.operator == "one of":
            good = isinstance(value, (list, tuple)) and bool(value) and all(isinstance(v, str) or _is_number(v) for v in value)
            return "a list of words or numbers", good
        if self.operator in ("contains", "starts with"):
            return "a word", isinstance(value, str) and bool(value)
        return "a word or a number", isinstance(value, str) or _is_number(value)

    @property
    def of_file(self) -> frozenset[str]:
        """The facts that are read from the image's own file for it."""
        return _OF_FILE & set(FIELDS[self.field])

    @property
    def of_route(self) -> bool:
        """Whether it needs to know what kind of image it is."""
        return self.field == "category"

    def holds(self, facts: Mapping[str, object]) -> bool:
        """Whether it is so of an image of which ``facts`` are known."""
        given = next((facts[name] for name in FIELDS[self.field] if facts.get(name) is not None), None)
        if self.operator == "known":
            return (given is not None) is self.value
        if given is None:
            return False
        if self.operator == "one of":
            return any(self._equal(given, value) for value in self.value)  # type: ignore[attr-defined]
        if self.operator in ("is", "is not"):
            return self._equal(given, self.value) is (self.operator == "is")
        if self.operator in ("at least", "at most"):
            return _is_number(given) and (given >= self.value if self.operator == "at least" else given <= self.value)  # type: ignore[operator]
        text, word = str(given).casefold(), str(self.value).casefold()
        return word in text if self.operator == "contains" else text.startswith(word)

    def _equal(self, given: object, value: object) -> bool:
        if isinstance(given, str) and isinstance(value, str):
            return same_category(given, value) if self.of_route else given.casefold() == value.casefold()
        return given == value


def facts_of(image: Image, needed: Collection[str], **known: object) -> dict[str, object]:
    """What conditions are asked about: what the image's header keeps, and ``needed`` (:attr:`Condition.of_file`) from its file.

    known : what the caller knows besides, and better: ``category``, ``site``, ``calling_ae``, ``called_ae``; None for what it does
    not.
    """
    given = {name: value for name, value in known.items() if value is not None}
    return {**image.header.to_json(), **stated(image, set(needed) - set(given)), **given}


def facts_of_file(path: Path, needed: Collection[str], **known: object) -> dict[str, object]:
    """The same of a DICOM file, of which the header alone is read. Raises CasewiseError for what is no DICOM."""
    dataset = dataset_of(path, pixels=False)
    given = {name: value for name, value in known.items() if value is not None}
    return {**about(dataset, [dataset]), **stated_in(dataset, set(needed) - set(given)), **given}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
