"""How alike two cases are by what is known beside their pixels, and what several cases have in common.

Source of the similarity: J. C. Gower, A general coefficient of similarity and some of its properties,
Biometrics 27 (1971) 857–871.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from casewise.errors import ArchiveError

Content = Mapping[str, object]
Numbers = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]

_MISSING = -1
_NUMBER = re.compile(r"[+-]?[0-9]{1,300}(?:\.[0-9]{1,300})?")  # Python would take 1_2 for 12
_UNSEEN = -2  # a value that no row has: known, and different from all
_UNKNOWN_WORDS = frozenset({"", "nan", "none", "null", "n/a", "na", "unknown", "?"})


@dataclass(frozen=True)
class Field:
    """One thing that may be known of a case: ``numeric`` values are near or far, ``nominal`` ones equal or
    not.
    """

    name: str
    kind: Literal["nominal", "numeric"] = "nominal"


# The category is not among them: it is what a classifier is asked for. Neither is the site: it names a place,
# not an image.
DEFAULT_FIELDS = (
    Field("age", "numeric"),
    Field("sex"),
    Field("modality"),
    Field("sequence"),
    Field("body_part"),
    Field("manufacturer"),
    Field("scanner"),
    Field("pathology"),
)
COMMON_FIELDS = (Field("site"), Field("category"), *DEFAULT_FIELDS)


@dataclass(frozen=True, eq=False)
class FieldColumn:
    """One field of many cases. values : (n,) float64, NaN where missing, of a numeric field; else a code for each text, −1 where
    missing. codes : these codes by case-folded text.
    """

    field: Field
    values: Numbers | Codes
    codes: dict[str, int]

    @classmethod
    def of(cls, field: Field, values: Sequence[object] = ()) -> FieldColumn:
        codes: dict[str, int] = {}
        return cls(field, _converted(field, values, codes), codes)

    def extended(self, values: Sequence[object]) -> FieldColumn:
        """With further cases behind those that are there."""
        codes = dict(self.codes)
        return FieldColumn(self.field, np.concatenate([self.values, _converted(self.field, values, codes)]), codes)

    def at(self, places: npt.NDArray[np.int64]) -> FieldColumn:
        """Of some of the cases alone."""
        return FieldColumn(self.field, self.values[places], self.codes)


@dataclass(frozen=True, eq=False)
class _Halves:
    """Numbers of a field, halved (the difference of two near the largest possible would not be a number), 0 where missing."""

    halves: Numbers
    known: npt.NDArray[np.bool_]
    low: float
    high: float

    @classmethod
    def of(cls, values: Numbers) -> _Halves:
        halves = values / 2
        known = ~np.isnan(halves)
        low, high = halves.min(initial=np.inf, where=known), halves.max(initial=-np.inf, where=known)
        return cls(np.where(known, halves, 0.0), known, float(low), float(high))

    def closeness(self, number: float) -> Numbers:
        """(n,) 1 − |difference| / range; 0 where missing."""
        half_range = max(self.high, number / 2) - min(self.low, number / 2)
        if half_range <= 0 or not math.isfinite(half_range):  # all are the same, or there are none
            return self.known.astype(np.float64)
        closeness: Numbers = 1.0 - np.abs(self.halves - number / 2) / half_range
        return np.clip(closeness, 0.0, 1.0) * self.known


class ContentTable:
    """The content of many cases, prepared for comparison with one.

    A value that is None, not a number, or a word such as "unknown" is missing; so is one that is no number in
    a numeric field. Nominal values are compared as text, whatever their case. Fields that nobody has cost
    nothing.
    """

    def __init__(self, rows: Sequence[Content], fields: Sequence[Field] | None = None) -> None:
        self.fields = DEFAULT_FIELDS if fields is None else tuple(fields)
        if len({field.name for field in self.fields}) < len(self.fields):
            names = ", ".join(field.name for field in self.fields)
            msg = f"Each field of content is compared once; got {names}."
            raise ArchiveError(msg)
        self._keep([FieldColumn.of(field, [row.get(field.name) for row in rows]) for field in self.fields], len(rows))

    @classmethod
    def of(cls, columns: Sequence[FieldColumn], size: int) -> ContentTable:
        """Of ``size`` cases, of which each field is a column already."""
        made = cls.__new__(cls)
        made.fields = tuple(column.field for column in columns)
        made._keep(columns, size)
        return made

    def _keep(self, columns: Sequence[FieldColumn], size: int) -> None:
        self.size = size
        nominal = [column for column in columns if column.field.kind == "nominal"]
        numeric = [column for column in columns if column.field.kind == "numeric"]
        self._nominal = {column.field.name: (column.values, column.codes) for column in nominal}
        self._numeric = {column.field.name: _Halves.of(np.asarray(column.values, np.float64)) for column in numeric}

    def __len__(self) -> int:
        return self.size

    def similarity(self, query: Content) -> Numbers:
        """(n,) float64 between 0 and 1: Gower's similarity of ``query`` with each row.

        The mean over the fields that both know: 1 or 0 for a nominal one; 1 − |difference| / range for a
        numeric one, its range taken over the rows and the query. Rows that share no known field with the
        query get 0: nothing speaks for a likeness, and a case about which nothing is known must not come
        before one that is known to resemble.
        """
        total, shared = self._compared(query)
        return np.divide(total, shared, out=np.zeros(self.size), where=shared > 0)

    def comparable(self, query: Content) -> bool:
        """Whether something is known of ``query`` that is known of one of the cases too."""
        return bool(self._compared(query)[1].any())

    def _compared(self, query: Content) -> tuple[Numbers, Numbers]:
        """(sum of the likenesses, number of the fields that both know) of each row."""
        total = np.zeros(self.size)
        shared = np.zeros(self.size)
        for name, (column, codes) in self._nominal.items():
            text = _text(query.get(name))
            if text is not None:
                shared += column != _MISSING
                total += column == codes.get(text.casefold(), _UNSEEN)
        for name, values in self._numeric.items():
            number = _number(query.get(name))
            if not math.isnan(number):
                shared += values.known
                total += values.closeness(number)
        return total, shared


def gower(query: Content, rows: Sequence[Content], fields: Sequence[Field] | None = None) -> Numbers:
    """(n,) Gower similarity of ``query`` with each of ``rows``; for several queries prepare a
    :class:`ContentTable`.
    """
    return ContentTable(rows, fields).similarity(query)


def known_fields(query: Content, fields: Sequence[Field] = DEFAULT_FIELDS) -> list[Field]:
    """The fields of which something is known of ``query``: no others are compared."""
    return [
        field
        for field in fields
        if (_text(query.get(field.name)) is not None if field.kind == "nominal" else not math.isnan(_number(query.get(field.name))))
    ]


def common(rows: Sequence[Content], archive: Sequence[Content] | None = None, fields: Sequence[Field] | None = None) -> list[str]:
    """What the cases of a subset have in common, one short statement a field, the least expected first.

    ``site shenzhen: 6 of 8 (31 % of the archive)``: the value that more than half of them are known to have.
    ``age 52–71 in 8 of 8 (3–92 in the archive)``: the span of a number that more than half of them have.
    Least expected: how improbable it is that so many of as many cases drawn from ``archive`` by chance have
    the value, or that their numbers lie as close together. Without ``archive`` the fields keep their order.
    fields : :data:`COMMON_FIELDS` if None.
    """
    found: list[tuple[float, str]] = []
    for field in COMMON_FIELDS if fields is None else fields:
        inside = [row.get(field.name) for row in rows]
        outside = None if archive is None else [row.get(field.name) for row in archive]
        statement = (_span if field.kind == "numeric" else _shared_value)(field.name.replace("_", " "), inside, outside)
        if statement is not None:
            found.append(statement)
    return [text for _, text in sorted(found, key=lambda statement: statement[0])]


def _shared_value(name: str, inside: Sequence[object], outside: Sequence[object] | None) -> tuple[float, str] | None:
    texts = [text for text in map(_text, inside) if text is not None]
    folded = [text.casefold() for text in texts]
    if not folded:
        return None
    # Of equally frequent values the first by name, so that the statement does not hang on the cases' order.
    count, value = max(((folded.count(value), value) for value in sorted(set(folded))), key=lambda pair: pair[0])
    if count < 2 or 2 * count <= len(inside):
        return None
    spelling = min(text for text in texts if text.casefold() == value)
    statement = f"{name} {spelling}: {count} of {len(inside)}"
    if not outside:
        return 1.0, statement
    known = [text.casefold() for text in map(_text, outside) if text is not None]
    share = known.count(value) / len(outside)
    return _by_chance(count, len(inside), share), f"{statement} ({_percent(share)} of the archive)"


def _span(name: str, inside: Sequence[object], outside: Sequence[object] | None) -> tuple[float, str] | None:
    values = [value for value in map(_number, inside) if not math.isnan(value)]
    if len(values) < 2 or 2 * len(values) <= len(inside):
        return None
    low, high = min(values), max(values)
    statement = f"{name} {_range(low, high)} in {len(values)} of {len(inside)}"
    known = np.array([_number(value) for value in outside or ()])
    known = known[~np.isnan(known)]
    if not known.size:
        return 1.0, statement
    share = float(np.mean((known >= low) & (known <= high)))
    # The probability that as many draws span no more than this share of the archive (Beta distribution of the
    # range).
    draws = len(values)
    by_chance = draws * share ** (draws - 1) - (draws - 1) * share**draws
    return by_chance, f"{statement} ({_range(known.min(), known.max())} in the archive)"


def _by_chance(count: int, size: int, share: float) -> float:
    """Probability that at least ``count`` of ``size`` cases have what a ``share`` of all have."""
    return math.fsum(math.comb(size, number) * share**number * (1 - share) ** (size - number) for number in range(count, size + 1))


def _text(value: object) -> str | None:
    text = " ".join(str(value).split())
    return None if text.casefold() in _UNKNOWN_WORDS else text


def _number(value: object) -> float:
    """NaN where nothing, or no finite number, is given."""
    if not isinstance(value, (int, float, str, np.number)) or (isinstance(value, str) and not _NUMBER.fullmatch(value.strip())):
        return math.nan
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def _converted(field: Field, values: Sequence[object], codes: dict[str, int]) -> Numbers | Codes:
    if field.kind == "numeric":
        return np.asarray([_number(value) for value in values], np.float64)
    return _coded(values, codes)


def _coded(values: Sequence[object], codes: dict[str, int]) -> Codes:
    """(n,) a number for each value, the same for equal ones; new ones are added to ``codes``."""
    known: dict[str | None, int] = {None: _MISSING}  # as spelled: large archives repeat few values
    column = np.empty(len(values), np.int32)
    for row, value in enumerate(values):
        spelled = value if value is None or isinstance(value, str) else str(value)
        code = known.get(spelled)
        if code is None:
            text = _text(spelled)
            code = _MISSING if text is None else codes.setdefault(text.casefold(), len(codes))
            known[spelled] = code
        column[row] = code
    return column


def _range(low: float, high: float) -> str:
    return f"{low:.4g}" if low == high else f"{low:.4g}–{high:.4g}"


def _percent(share: float) -> str:
    return "less than 1 %" if 0 < share < 0.01 else f"{100 * share:.0f} %"
