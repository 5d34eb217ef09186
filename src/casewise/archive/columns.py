"""Columns of the catalogue that hold JSON: what comes back is of the shape that was written, or one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from casewise.errors import ArchiveError

DAMAGED = "The archive's catalogue is damaged ({what}); restore the archive from a copy, or import the images again."


class Json(sa.TypeDecorator[Any]):
    """A JSON column whose values pass ``is_sound``; None passes where ``none`` says so."""

    impl = sa.JSON
    cache_ok = True

    def __init__(self, name: str, is_sound: Callable[[Any], bool], none: bool = False) -> None:
        super().__init__(none_as_null=none)
        self.name = name
        self.is_sound = is_sound
        self.none = none

    def process_result_value(self, value: Any, dialect: object) -> Any:
        if (value is None and self.none) or self.is_sound(value):
            return value
        raise ArchiveError(DAMAGED.format(what=f"its column {self.name} does not hold what it should"))


class Written(str):
    """JSON that was written elsewhere, by a worker, so that whoever keeps it need not read and write it again."""

    __slots__ = ()


def written(value: object) -> str:
    """The JSON of a column's value."""
    return str(value) if isinstance(value, Written) else json.dumps(value)


def texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def lengths(value: object) -> bool:
    """Whole numbers above 0, one an axis."""
    return isinstance(value, list) and all(type(item) is int and item > 0 for item in value)


def sizes(value: object) -> bool:
    """Numbers above 0, one an axis."""
    return isinstance(value, list) and all(type(item) in (int, float) and item > 0 for item in value)


def numbers(value: object) -> bool:
    return isinstance(value, list) and all(type(item) in (int, float) for item in value)


def mapping(value: object) -> bool:
    return isinstance(value, dict)


def boxes(value: object) -> bool:
    """[[[lower, upper], …], …]: a pair an axis of each box."""
    return isinstance(value, list) and all(
        isinstance(box, list) and all(numbers(pair) and len(pair) == 2 for pair in box) for box in value
    )
