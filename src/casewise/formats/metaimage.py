"""The header of a MetaImage (.mha, .mhd; https://itk.org/Wiki/MetaIO), parsed whole: no library follows its pointers.

The format's description gives a default for the voxel size (1) and none for the directions of the axes. That MetaIO takes the
identity where a header has none is no statement about the patient: so begin the headers of raw bytes, of which nobody knows.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from casewise.errors import UnreadableImageError
from casewise.formats.guard import BoundedFile
from casewise.formats.inflating import Packing
from casewise.formats.regular_files import named_beside
from casewise.formats.voxel_files import HEADER_LIMIT, VoxelHeader, count, counts, plain_line, words

# MetaIO's "long" has four bytes on every machine.
_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_DIRECTIONS = ("TransformMatrix", "Rotation", "Orientation")
# Letters from which to which the axes run, of the identity in ITK's words. MetaIO ignores the letters, so that others are no
# statement about the affine that it reads.
_IDENTITY = "RAI"
# What says where the voxels lie in space, as SimpleITK is given it. One of each group may be there: MetaIO would take the last.
_PLACES = (
    ("Offset", "Position", "Origin"),
    _DIRECTIONS,
    ("CenterOfRotation",),
    ("ElementSpacing",),
    ("ElementSize",),
    ("DistanceUnits",),
    ("AnatomicalOrientation",),
)
_OTHER = (
    "NDims",
    "DimSize",
    "ElementType",
    "ElementNumberOfChannels",
    "BinaryData",
    "BinaryDataByteOrderMSB",
    "ElementByteOrderMSB",
    "CompressedData",
    "HeaderSize",
    "ElementDataFile",
)
_KNOWN = {name.lower(): name for name in (*_OTHER, *(name for group in _PLACES for name in group))}
_LINE = re.compile(rb"\s*([^=:]*?)\s*[=:]\s*(.*?)\s*", re.DOTALL)


def meta_header(path: Path) -> VoxelHeader:
    """What the header says. A key twice, a line that is none, or a data file that is not beside it is an error sentence."""
    fields, pairs, start = _fields(path)
    missing = [name for name in ("NDims", "DimSize", "ElementType", "ElementDataFile") if name not in fields]
    if missing:
        raise UnreadableImageError(f"{path} has a damaged header: it does not say {', '.join(missing)}.")
    axes = count(path, "NDims", fields["NDims"], 1, 10)
    sizes = counts(path, "DimSize", fields["DimSize"])
    if len(sizes) != axes:
        raise UnreadableImageError(f"{path} has a damaged header: it has {axes} axes and the sizes of {len(sizes)}.")
    values = count(path, "ElementNumberOfChannels", fields.get("ElementNumberOfChannels", "1"), 1, 1 << 20)
    data = _data(path, fields["ElementDataFile"])
    shift = count(path, "HeaderSize", fields.get("HeaderSize", "0"), -1)
    return VoxelHeader(
        sizes=(values, *sizes),
        dtype=_dtype(path, fields),
        geometry=_geometry(path, fields, pairs, values),
        values_axis=0,
        encoding=_encoding(fields),
        data=data,
        start=shift or (start if data is None else 0),
        spacing_stated="ElementSpacing" in fields or "ElementSize" in fields,
        orientation_stated=_orientation_stated(fields),
        pairs=pairs,
    )


def _fields(path: Path) -> tuple[dict[str, str], dict[str, str], int]:
    """The keys that are known, the others, and where the header ends: behind the line of ElementDataFile."""
    fields: dict[str, str] = {}
    pairs: dict[str, str] = {}
    number = 0
    with BoundedFile(path) as file:
        while "ElementDataFile" not in fields:
            line = file.readline(HEADER_LIMIT)
            number += 1
            if file.tell() > HEADER_LIMIT:
                raise UnreadableImageError(f"{path} has a header of more than {HEADER_LIMIT >> 20} MiB, which is not read.")
            if not line.endswith(b"\n") and not line.strip():
                raise UnreadableImageError(f"{path} is cut short: its header has no end (ElementDataFile).")
            if not line.strip():
                continue
            match = _LINE.fullmatch(line)
            if match is None or b"\0" in line:
                raise UnreadableImageError(f"{path} has a damaged header: its line {number} is no KEY = VALUE.")
            key, value = words(match[1]), words(match[2])
            known = _KNOWN.get(key.lower())
            if known is None:
                pairs[key] = value
            elif fields.setdefault(known, value) != value:
                raise UnreadableImageError(f"{path} has an ambiguous header: it says {known} twice.")
        return fields, pairs, file.tell()


def _data(path: Path, value: str) -> str | None:
    """The name of the file beside it; None where the voxels follow the header."""
    return None if value.upper() == "LOCAL" else named_beside(path, value, ".mha")


def _dtype(path: Path, fields: dict[str, str]) -> np.dtype[np.generic]:
    code = _TYPES.get(fields["ElementType"].removesuffix("_ARRAY"))
    if code is None:
        msg = f"{path} holds values of type {fields['ElementType'][:30]!r}; {', '.join(_TYPES)} are read."
        raise UnreadableImageError(msg)
    orders = {_is_true(fields[name]) for name in ("BinaryDataByteOrderMSB", "ElementByteOrderMSB") if name in fields}
    if len(orders) > 1:
        raise UnreadableImageError(f"{path} has an ambiguous header: it says two orders of its bytes.")
    return np.dtype((">" if orders == {True} else "<") + code)


def _orientation_stated(fields: dict[str, str]) -> bool:
    stated = fields.get("AnatomicalOrientation", "").upper().startswith(_IDENTITY)
    return stated or any(name in fields for name in _DIRECTIONS)


def _encoding(fields: dict[str, str]) -> str:
    if not _is_true(fields.get("BinaryData", "True")):
        return "text"
    return Packing.ZLIB if _is_true(fields.get("CompressedData", "False")) else Packing.RAW


def _is_true(value: str) -> bool:
    return value[:1] in ("T", "t", "1")


def _geometry(path: Path, fields: dict[str, str], pairs: dict[str, str], values: int) -> bytes:
    """A header of the same shape and place whose voxels would follow it, with casewise's own notes."""
    lines = ["ObjectType = Image", "BinaryData = True", "BinaryDataByteOrderMSB = False", "CompressedData = False"]
    lines += [f"NDims = {plain_line(path, 'NDims', fields['NDims'])}"]
    for group in _PLACES:
        said = [name for name in group if name in fields]
        if len({fields[name] for name in said}) > 1:
            raise UnreadableImageError(f"{path} has an ambiguous header: it says both {' and '.join(said)}.")
        lines += [f"{said[0]} = {plain_line(path, said[0], fields[said[0]])}"] if said else []
    lines += [f"{key} = {plain_line(path, key, value)}" for key, value in pairs.items() if _is_own(key)]
    lines += [f"DimSize = {plain_line(path, 'DimSize', fields['DimSize'])}", f"ElementNumberOfChannels = {values}"]
    lines += [f"ElementType = {fields['ElementType'].removesuffix('_ARRAY')}", "ElementDataFile = LOCAL", ""]
    return "\n".join(lines).encode("ascii")


def _is_own(key: str) -> bool:
    return key.startswith("casewise_") and key.isidentifier()
