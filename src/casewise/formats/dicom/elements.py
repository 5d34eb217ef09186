"""Single elements of a DICOM data set as plain values, whatever a damaged header holds in them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

Vector = tuple[float, ...]


def vector(dataset: Any, keyword: str, length: int) -> Vector | None:
    """``length`` finite numbers of an element; None where it is absent, empty or not so."""
    try:
        value = dataset.get(keyword)
        values = [value] if isinstance(value, (int, float, str)) else list(value or [])
        numbers = tuple(float(x) for x in values)
    except (TypeError, ValueError, OverflowError, NotImplementedError):
        return None
    return numbers if len(numbers) == length and np.isfinite(numbers).all() else None


def count_of(dataset: Any, keyword: str) -> int:
    """How many values an element holds; 0 where it is absent or empty."""
    try:
        value = dataset.get(keyword)
    except (TypeError, ValueError, OverflowError, NotImplementedError):
        return 1
    if value is None or value == "":
        return 0
    return len(value) if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) else 1


def spoken(dataset: Any, keyword: str) -> str:
    """An element of numbers as it is written in the file, for a message; "no number" where it holds anything else.

    What is no number is never quoted: it may be of the patient.
    """
    from pydicom.datadict import tag_for_keyword

    try:
        raw = dataset.get_item(tag_for_keyword(keyword)).value
    except (AttributeError, TypeError, ValueError):
        return "no number"
    if isinstance(raw, bytes):
        raw = raw.decode("ascii", "replace")
    written = raw if isinstance(raw, str) else "\\".join(str(x) for x in (raw if isinstance(raw, Sequence) else [raw]))
    written = written.strip(" \x00")
    number = r"[-+]?(\d[\d.,]*(e[-+]?\d+)?|nan|inf)"
    return written[:80] if re.fullmatch(rf"({number}\s*\\?\s*)+", written, re.IGNORECASE) else "no number"


def whole(dataset: Any, keyword: str) -> int | None:
    """An integer element; None where it is absent, damaged or no number."""
    try:
        return int(dataset.get(keyword))
    except (TypeError, ValueError, OverflowError, NotImplementedError):
        return None


def text(dataset: Any, keyword: str) -> str:
    """An element as text, several values joined by a backslash; empty where it is absent."""
    value = dataset.get(keyword)
    if value is None:
        return ""
    many = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
    joined = "\\".join(str(x) for x in value) if many else str(value)
    return joined.strip().strip("\x00")


def class_name(dataset: Any) -> str:
    """The name of a data set's SOP class, for messages."""
    uid = dataset.get("SOPClassUID")
    name = getattr(uid, "name", "") or ""
    return name if name and not name[0].isdigit() and name != uid else "of no known class"
