"""Rules that add applications to what a category brings, or take some away: plain conditions, never a program's text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from casewise.errors import UsageError
from casewise.names import same_category

# DICOM keywords by the name under which an image's header keeps them; what identifies the patient is not kept.
_NAMES = (
    "category", "site", "modality", "sequence", "sequence_name", "body_part", "view", "age", "sex", "manufacturer", "scanner",
    "photometric", "format",
)  # fmt: skip
FIELDS = {name: name for name in _NAMES} | {
    "Modality": "modality",
    "SeriesDescription": "sequence",
    "SequenceName": "sequence_name",
    "BodyPartExamined": "body_part",
    "ViewPosition": "view",
    "PatientAge": "age",
    "PatientSex": "sex",
    "Manufacturer": "manufacturer",
    "ManufacturerModelName": "scanner",
    "PhotometricInterpretation": "photometric",
}
OPERATORS = ("is", "is not", "contains", "starts with", "one of", "at least", "at most", "known")


@dataclass(frozen=True)
class Condition:
    """``field operator value``: text is compared without regard to capitals; a field that is not known meets only ``known false``.

    value : text or a number; a list of them for ``one of``; a number for ``at least`` and ``at most``; true or false for ``known``.
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

    def holds(self, facts: Mapping[str, object]) -> bool:
        """Whether it is so of an image whose header, with ``category`` and ``site``, is ``facts``."""
        given = facts.get(FIELDS[self.field])
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
            return same_category(given, value) if FIELDS[self.field] == "category" else given.casefold() == value.casefold()
        return given == value


@dataclass(frozen=True)
class Rule:
    """Where every condition holds, ``add`` joins the applications of a route and ``remove`` leaves them."""

    when: tuple[Condition, ...] = ()
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    origin: str = "code"

    def __post_init__(self) -> None:
        if not self.add and not self.remove:
            raise UsageError('A rule needs add or remove, a list of applications\' names, such as add = ["nodules"].')

    def applied(self, names: list[str], facts: Mapping[str, object]) -> list[str]:
        """The names after this rule: those added come last, none twice."""
        if not all(condition.holds(facts) for condition in self.when):
            return names
        return list(dict.fromkeys(name for name in (*names, *self.add) if name not in self.remove))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
