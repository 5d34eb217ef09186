"""The query of a search: which attributes must match, which are wanted beside the usual ones, which part of the answer."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from casewise.errors import UsageError
from casewise.formats.dicom.json_model import Json

MOST = 1000  # of one answer
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_PLAIN = ("limit", "offset", "includefield", "fuzzymatching", "_")
_UIDS = ("0020000D", "0020000E", "00080018")
_NAME = ("Alphabetic", "Ideographic", "Phonetic")
_LONGEST, _MOST_FIELDS = 1024, 100


@dataclass(frozen=True)
class Query:
    """matches : tag → value, with wildcards, ranges of dates and lists of UIDs as PS3.4 has them; none that any study matches
    (empty, or ``*`` alone). fields : tags wanted; None: all.
    """

    matches: Mapping[str, str]
    fields: frozenset[str] | None
    limit: int
    offset: int

    @classmethod
    def parse(cls, items: Iterable[tuple[str, str]]) -> Query:
        """Raises UsageError, one sentence, for attributes that DICOM does not have and for numbers that are none."""
        matches: dict[str, str] = {}
        fields: set[str] = set()
        numbers = {"limit": 100, "offset": 0}
        everything = False
        for number, (name, value) in enumerate(items):
            if number >= _MOST_FIELDS or len(value) > _LONGEST:
                raise UsageError("The query is too long; ask with fewer attributes.")
            if name in numbers:
                numbers[name] = _number(name, value)
            elif name == "includefield":
                everything |= value == "all"
                fields |= {_tag(field) for field in value.split(",") if field and field != "all"}
            elif name not in _PLAIN:
                matches[_tag(name)] = value
        wanted = None if everything else frozenset(fields | matches.keys())
        conditions = {tag: value for tag, value in matches.items() if value.strip("*")}
        return cls(conditions, wanted, min(numbers["limit"], MOST), numbers["offset"])

    def uids(self, tag: str) -> list[str] | None:
        """The UIDs that an attribute must be one of; None where any will do."""
        value = self.matches.get(tag)
        return None if value is None else [uid for uid in re.split(r"[,\\]", value) if uid]

    def accepts(self, model: Json) -> bool:
        return all(_matches(model, tag, value) for tag, value in self.matches.items())

    def chosen(self, model: Json, usual: Iterable[str]) -> Json:
        """Of an answer's attributes the usual ones and those that were asked for or matched."""
        if self.fields is None:
            return model
        wanted = {*usual, *self.fields}
        return {tag: entry for tag, entry in model.items() if tag in wanted}


def _matches(model: Json, tag: str, value: str) -> bool:
    entry = model.get(tag, {})
    said = [text for one in entry.get("Value", ()) for text in _texts(one)]
    if tag in _UIDS or entry.get("vr") == "UI":
        return any(one in re.split(r"[,\\]", value) for one in said)
    if entry.get("vr") in ("DA", "TM", "DT") and "-" in value:
        low, _, high = value.partition("-")
        return any((not low or one[: len(low)] >= low) and (not high or one[: len(high)] <= high) for one in said)
    if entry.get("vr") == "PN":
        value, said = value.casefold(), [one.casefold() for one in said]
    wanted = [value] if tag not in ("00080060", "00080061") else re.split(r"[,\\]", value)  # lists of modalities
    return any(fnmatch.fnmatchcase(one, part.replace("[", "[[]")) for one in said for part in wanted)


def _texts(value: object) -> list[str]:
    """A value as what a query may be for: of a person's name any of its component groups, or all of them."""
    if isinstance(value, dict):
        groups = [str(value.get(group, "")) for group in _NAME]
        return [*filter(None, groups), "=".join(groups).rstrip("=")]
    return ["" if value is None else str(value)]


def _tag(name: str) -> str:
    from pydicom.datadict import tag_for_keyword

    if _TAG.fullmatch(name):
        return name.upper()
    tag = tag_for_keyword(name)
    if tag is None:
        raise UsageError(f"{name[:40]!r} is no attribute of DICOM; name it by its keyword or by 8 hexadecimal digits.")
    return f"{tag:08X}"


def _number(name: str, value: str) -> int:
    if not (value.isascii() and value.isdecimal() and len(value) < 10):
        raise UsageError(f"{name} is {value[:20]!r}; it must be a whole number, from 0.")
    return int(value)
