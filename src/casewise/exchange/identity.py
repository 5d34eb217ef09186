"""Which object a data set is: its UIDs and modality, found in its first bytes without decoding the rest."""

from __future__ import annotations

import io
import re
import zlib
from dataclasses import dataclass
from typing import Any

from casewise.errors import UnreadableImageError

# So much of a data set is looked at, first the one and then the other: UIDs stand before pixels and most else.
BOUNDS = (1 << 18, 1 << 24)
_SOP_CLASS, _SOP_UID, _MODALITY, _STUDY, _SERIES = 0x00080016, 0x00080018, 0x00080060, 0x0020000D, 0x0020000E
_UID = re.compile(r"[0-9][0-9.]{0,63}")
_CODE = re.compile(r"[A-Z0-9_ ]{1,16}")
_IMPLICIT, _BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
_DEFLATED = ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205")


@dataclass(frozen=True)
class Identity:
    """UIDs are digits and dots and begin with a digit, so that they name no other place as parts of a path."""

    sop_uid: str
    sop_class: str
    series_uid: str
    study_uid: str
    modality: str


def is_uid(text: str) -> bool:
    """Whether a text can be a UID, and be used in a path."""
    return _UID.fullmatch(text) is not None


def identity_of(head: bytes, syntax: str) -> Identity:
    """Of the data set that begins with ``head`` and is encoded by the transfer syntax of this UID.

    Raises UnreadableImageError where ``head`` does not hold all of the UIDs, or they are none. The sentence quotes no value.
    """
    try:
        values = _values(head, syntax)
    except Exception as error:  # a damaged data set leads pydicom's parser anywhere; its words can hold a patient's data
        raise UnreadableImageError(f"The data set cannot be read: it is damaged or cut short ({type(error).__name__}).") from error
    for tag, name in ((_SOP_CLASS, "SOPClassUID"), (_SOP_UID, "SOPInstanceUID"), (_STUDY, "StudyInstanceUID")):
        _check(name, values.get(tag))
    _check("SeriesInstanceUID", values.get(_SERIES))
    modality = values.get(_MODALITY) or ""
    return Identity(
        values[_SOP_UID], values[_SOP_CLASS], values[_SERIES], values[_STUDY], modality if _CODE.fullmatch(modality) else ""
    )


def _check(name: str, value: str | None) -> None:
    if not value:
        raise UnreadableImageError(f"The data set has no {name}, without which an object cannot be kept; send whole objects.")
    if not is_uid(value):
        raise UnreadableImageError(f"The data set's {name} is no UID; it must have 1 to 64 digits and dots.")


def _values(head: bytes, syntax: str) -> dict[int, str]:
    from pydicom.filereader import read_dataset

    if syntax in _DEFLATED:
        head = zlib.decompressobj(-zlib.MAX_WBITS).decompress(head, BOUNDS[1])
    wanted: list[Any] = [_SOP_CLASS, _SOP_UID, _MODALITY, _STUDY, _SERIES]
    dataset = read_dataset(
        io.BytesIO(head),
        syntax == _IMPLICIT,
        syntax != _BIG_ENDIAN,
        stop_when=lambda tag, representation, length: tag > _SERIES,
        specific_tags=wanted,
    )
    found = {tag: dataset.get_item(tag) for tag in wanted if tag in dataset}
    # A value that the end of ``head`` cuts is shorter than its length says.
    return {tag: _text(item.value) for tag, item in found.items() if len(item.value or b"") == item.length}


def _text(value: bytes | None) -> str:
    return (value or b"").decode("ascii", "replace").strip("\0 ")
