"""A DICOM data set in the DICOM JSON model (PS3.18, annex F), made element by element whatever a damaged header holds.

pydicom's own ``to_json_dict`` makes an object of each element first, which takes several times as long, and gives up on a value
that is not as its representation says.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

Json = dict[str, dict[str, Any]]
Link = Callable[[int], str]

INLINE = 1 << 14  # bytes of a binary element that stand in the answer itself
_WORDS = {"AE", "AS", "CS", "DA", "DT", "LO", "SH", "TM", "UI", "UC"}
_TEXTS = {"LT", "ST", "UT", "UR"}  # one value, whose backslashes are its own
_NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
_BINARY = {"OB": 1, "OW": 2, "OL": 4, "OF": 4, "OD": 8, "OV": 8, "UN": 1}


def json_model(dataset: Any, link: Link | None = None) -> Json:
    """The elements of a pydicom data set, without group lengths, by tags of 8 hexadecimal digits.

    link : the address of the value of a large binary element of the data set itself, by its tag; such elements of sequences, and
    without ``link`` all of them, are left empty. Numbers that are none (a DS of letters, NaN) become null: JSON has no others.
    """
    found: Json = {}
    for tag in sorted(dataset.keys()):
        if tag.element == 0:
            continue
        entry = None
        with suppress(Exception):  # whatever pydicom raises for an element that is not as it says
            entry = _entry(dataset, tag, link)
        if entry is not None:
            found[f"{int(tag):08X}"] = entry
    return found


def _entry(dataset: Any, tag: Any, link: Link | None) -> dict[str, Any] | None:
    raw = dataset.get_item(tag)
    vr = _representation(raw, tag)
    if vr is None or vr == "SQ" or not isinstance(raw.value, bytes):
        return _of_element(dataset[tag], link)
    value, order = raw.value, "<" if getattr(raw, "is_little_endian", True) else ">"
    if vr in _NUMBERS:
        return _valued(vr, _numbers(value, order + _NUMBERS[vr]))
    if vr in _BINARY:
        return _binary(vr, value, tag, link, order)
    if vr == "AT":
        pairs = struct.unpack(f"{order}{len(value) // 4 * 2}H", value[: len(value) // 4 * 4])
        return _valued(vr, [f"{a:04X}{b:04X}" for a, b in zip(pairs[::2], pairs[1::2], strict=True)])
    if not value.isascii() or b"\x1b" in value:
        return _of_element(dataset[tag], link)
    return _of_text(vr, value.decode("ascii"))


def _representation(raw: Any, tag: Any) -> str | None:
    """The representation of a raw element; None where pydicom has to find it out (private tags, those of several)."""
    from pydicom.datadict import dictionary_VR

    vr = raw.VR
    if vr is None or (vr == "UN" and not tag.is_private):
        try:
            vr = dictionary_VR(tag)
        except KeyError:
            return None
    return vr if len(vr) == 2 else None


def _of_element(element: Any, link: Link | None) -> dict[str, Any] | None:
    vr, value = str(element.VR), element.value
    if vr == "SQ":
        return _valued(vr, [json_model(item) for item in value])
    if vr in _BINARY:
        return _binary(vr, value, element.tag, link, "<") if isinstance(value, bytes) else {"vr": vr}
    if vr in _NUMBERS:
        return _valued(vr, [] if value is None or value == "" else [_finite(x) for x in _list(value)])
    if vr == "AT":
        return _valued(vr, [f"{int(x):08X}" for x in _list(value)])
    if vr == "PN":
        return _valued(vr, [_name(str(x)) for x in _list(value)] if value else [])
    text = "" if value is None else "\\".join(str(x) for x in _list(value))
    return _of_text(vr, text) if len(vr) == 2 else None


def _of_text(vr: str, text: str) -> dict[str, Any]:
    if vr in _TEXTS:
        text = text.rstrip(" \0")
        return _valued(vr, [text] if text else [])
    values = [part.strip(" \0") for part in text.split("\\")] if text.strip(" \0") else []
    if vr == "PN":
        return _valued(vr, [_name(value) for value in values])
    if vr in ("DS", "IS"):
        return _valued(vr, [_number(value, vr) for value in values])
    return _valued(vr, [value or None for value in values])


def _valued(vr: str, values: list[Any]) -> dict[str, Any]:
    return {"vr": vr, "Value": values} if values else {"vr": vr}


def _name(text: str) -> dict[str, str] | None:
    groups = zip(("Alphabetic", "Ideographic", "Phonetic"), text.split("="), strict=False)
    return {group: part for group, part in groups if part} or None


def _number(text: str, vr: str) -> float | int | None:
    try:
        value = float(text)
    except ValueError:
        return None
    if not math.isfinite(value):
        return None
    return int(value) if vr == "IS" or (value.is_integer() and "." not in text and abs(value) < 1 << 53) else value


def _numbers(value: bytes, code: str) -> list[Any]:
    size = struct.calcsize(code)
    return [_finite(x) for (x,) in struct.iter_unpack(code, value[: len(value) // size * size])]


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _list(value: Any) -> list[Any]:
    many = isinstance(value, (list, tuple)) or (hasattr(value, "__iter__") and hasattr(value, "append"))
    return list(value) if many else [value]


def _binary(vr: str, value: bytes, tag: Any, link: Link | None, order: str) -> dict[str, Any]:
    if not value:
        return {"vr": vr}
    if len(value) > INLINE:
        return {"vr": vr} if link is None else {"vr": vr, "BulkDataURI": link(int(tag))}
    return {"vr": vr, "InlineBinary": base64.b64encode(little(value, _BINARY[vr], order)).decode("ascii")}


def little(value: bytes, size: int, order: str) -> bytes:
    """``value``, of words of ``size`` bytes in an order of bytes (``<`` or ``>``), with the least byte of each first."""
    if order == "<" or size == 1:
        return value
    whole = len(value) // size * size
    swapped = bytearray(value[:whole])
    for byte in range(size):
        swapped[byte::size] = value[size - 1 - byte : whole : size]
    return bytes(swapped) + value[whole:]
