"""The header of an NRRD file (https://teem.sourceforge.net/nrrd/format.html), parsed whole: no library follows its pointers."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from casewise.errors import UnreadableImageError
from casewise.formats.guard import BoundedFile
from casewise.formats.inflating import Packing
from casewise.formats.nrrd_time import without_time
from casewise.formats.regular_files import named_beside
from casewise.formats.voxel_files import HEADER_LIMIT, VoxelHeader, count, counts, plain_line, words

_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
_TYPE_OF = {name.replace(" ", ""): code for code, names in _TYPES.items() for name in names}
_ENCODINGS = {
    "raw": Packing.RAW,
    "txt": "text",
    "text": "text",
    "ascii": "text",
    "hex": "hex",
    "gz": Packing.GZIP,
    "gzip": Packing.GZIP,
    "bz2": Packing.BZIP2,
    "bzip2": Packing.BZIP2,
}
# What of a header says where its voxels lie in space, as SimpleITK is given it; by the name without blanks.
_GEOMETRY = {
    "space": "space",
    "spacedimension": "space dimension",
    "spaceorigin": "space origin",
    "spacedirections": "space directions",
    "spaceunits": "space units",
    "spacings": "spacings",
    "axismins": "axis mins",
    "axismaxs": "axis maxs",
    "centers": "centers",
    "centerings": "centers",
    "kinds": "kinds",
}
_OTHER = {"type", "dimension", "sizes", "encoding", "endian", "datafile", "lineskip", "byteskip", "content", "number", "min", "max"}
_OTHER |= {"oldmin", "oldmax", "blocksize", "thicknesses", "labels", "units", "measurementframe", "sampleunits"}
_DOMAINS = ("domain", "space", "???", "none")
# Spaces whose axes are the patient's. In all others (scanner-xyz, 3D-right-handed, a number of dimensions alone) directions say
# nothing of the patient; nor do spacings.
_PATIENT = {"right-anterior-superior", "ras", "left-anterior-superior", "las", "left-posterior-superior", "lps"}


def nrrd_header(path: Path) -> VoxelHeader:
    """What the header says. A field twice, one that is none, or a data file that is not beside it is an error sentence."""
    lines, start = _lines(path)
    fields, pairs = _fields(path, lines)
    missing = [name for name in ("type", "dimension", "sizes", "encoding") if name not in fields]
    if missing:
        raise UnreadableImageError(f"{path} has a damaged header: it does not say {', '.join(missing)}.")
    without_time(path, fields)
    _place_in_space(fields)
    axes = count(path, "dimension", fields["dimension"], 1, 16)
    sizes = counts(path, "sizes", fields["sizes"])
    if len(sizes) != axes:
        raise UnreadableImageError(f"{path} has a damaged header: it has {axes} axes and the sizes of {len(sizes)}.")
    encoding = _ENCODINGS.get(fields["encoding"].lower())
    if encoding is None:
        msg = f"{path} is encoded as {fields['encoding'][:20]!r}; {', '.join(_ENCODINGS)} are read."
        raise UnreadableImageError(msg)
    data = _data(path, fields.get("datafile"))
    if data is None and start is None:
        raise UnreadableImageError(f"{path} is cut short: its header has no end.")
    kinds = fields.get("kinds", "").lower().split()
    values_axis = _values_axis(path, fields, axes)
    if over_time := values_axis is not None and kinds[values_axis] == "time":
        # SimpleITK would take time for an axis of space.
        fields["kinds"] = " ".join("list" if kind == "time" else kind for kind in kinds)
    return VoxelHeader(
        sizes=sizes,
        dtype=_dtype(path, fields, encoding),
        geometry=_geometry(path, fields, pairs),
        values_axis=values_axis,
        over_time=over_time,
        encoding=encoding,
        data=data,
        start=start if data is None and start is not None else 0,
        skip_lines=count(path, "line skip", fields.get("lineskip", "0"), 0, 1 << 20),
        skip=count(path, "byte skip", fields.get("byteskip", "0"), -1),
        spacing_stated="spacedirections" in fields or _states_spacings(path, fields, sizes, values_axis),
        orientation_stated="spacedirections" in fields and fields.get("space", "").lower() in _PATIENT,
        pairs=pairs,
    )


def _lines(path: Path) -> tuple[list[bytes], int | None]:
    """The header's lines behind the first, and where the voxels begin (None for a header that runs to the file's end)."""
    lines: list[bytes] = []
    with BoundedFile(path) as file:
        while True:
            line = file.readline(HEADER_LIMIT)
            if file.tell() > HEADER_LIMIT:
                raise UnreadableImageError(f"{path} has a header of more than {HEADER_LIMIT >> 20} MiB, which is not read.")
            if not line:
                return lines[1:], None
            stripped = line.rstrip(b"\r\n")
            if not stripped:
                return lines[1:], file.tell()
            lines.append(stripped)


def _fields(path: Path, lines: list[bytes]) -> tuple[dict[str, str], dict[str, str]]:
    fields: dict[str, str] = {}
    pairs: dict[str, str] = {}
    for number, line in enumerate(lines, 2):
        if line.startswith(b"#"):
            continue
        name, colon, value = words(line).partition(":")
        field = name.lower().replace(" ", "").replace("\t", "")
        if colon and not value.startswith("=") and (field in _GEOMETRY or field in _OTHER):
            field = "centers" if field == "centerings" else field
            if field in fields and fields[field] != value.strip():
                raise UnreadableImageError(f"{path} has an ambiguous header: it says {name.strip()[:40]} twice.")
            fields[field] = value.strip()
            if field == "datafile" and value.strip().upper().startswith("LIST"):
                break  # Names follow, to the header's end.
        elif ":=" in words(line):
            key, _, said = words(line).partition(":=")
            pairs[key] = said
        else:
            raise UnreadableImageError(f"{path} has a damaged header: its line {number} is no field of an NRRD file.")
    return fields, pairs


def _place_in_space(fields: dict[str, str]) -> None:
    """A picture that lies in a space of three dimensions becomes a volume of one plane, as ITK reads it."""
    vectors = [text.split(",") for text in re.findall(r"\(([^()]*)\)", fields.get("spacedirections", ""))]
    if len(vectors) != 2 or any(len(vector) != 3 for vector in vectors):
        return
    try:
        row, column = (np.array(vector, np.float64) for vector in vectors)
        normal = np.cross(row, column)
        normal /= np.linalg.norm(normal)
        fields["dimension"] = str(int(fields["dimension"]) + 1)
    except ValueError:
        return
    fields["sizes"] += " 1"
    fields["spacedirections"] += " (" + ",".join(f"{x:.17g}" for x in normal) + ")"
    for name, unknown in (("kinds", "domain"), ("centers", "???")):
        if name in fields:
            fields[name] += f" {unknown}"


def _data(path: Path, value: str | None) -> str | None:
    """The name of the file beside it; None where the voxels follow the header."""
    return None if value is None else named_beside(path, value, ".nrrd")


def _dtype(path: Path, fields: dict[str, str], encoding: str) -> np.dtype[np.generic]:
    code = _TYPE_OF.get(fields["type"].lower().replace(" ", ""))
    if code is None:
        raise UnreadableImageError(f"{path} holds values of type {fields['type'][:20]!r}; numbers of 8 to 64 bits are read.")
    endian = fields.get("endian", "").lower()
    if code[1] != "1" and encoding != "text" and endian not in ("little", "big"):
        raise UnreadableImageError(f"{path} does not say in which order its bytes are (endian: little or big); correct its header.")
    return np.dtype((">" if endian == "big" else "<") + code)


def _values_axis(path: Path, fields: dict[str, str], axes: int) -> int | None:
    """The axis along which a voxel has several values, be it over time, by the axes' kinds."""
    kinds = fields.get("kinds", "").lower().split()
    if not kinds:
        return None
    if len(kinds) != axes:
        raise UnreadableImageError(f"{path} has a damaged header: it has {axes} axes and the kinds of {len(kinds)}.")
    found = [number for number, kind in enumerate(kinds) if kind not in _DOMAINS]
    if len(found) > 1:
        raise UnreadableImageError(f"{path} has values along {len(found)} axes ({fields['kinds'][:60]}); one such axis is read.")
    return found[0] if found else None


def _geometry(path: Path, fields: dict[str, str], pairs: dict[str, str]) -> bytes:
    """A header of the same shape and place whose voxels would follow it, with casewise's own notes."""
    lines = ["NRRD0005", "encoding: raw", "endian: little"]
    lines += [f"{name}: {plain_line(path, name, fields[name])}" for name in ("type", "dimension", "sizes")]
    # The space comes before what is said in it.
    lines += [f"{name}: {plain_line(path, name, fields[key])}" for key, name in _GEOMETRY.items() if key in fields]
    lines += [f"{key}:={plain_line(path, key, value)}" for key, value in pairs.items() if _is_own(key)]
    return "\n".join([*lines, "", ""]).encode("ascii")


def _states_spacings(path: Path, fields: dict[str, str], sizes: tuple[int, ...], values_axis: int | None) -> bool:
    """Whether each of the axes in space that has more than one voxel has a size: ``nan`` says that it is unknown."""
    if "spacings" not in fields:
        return False
    try:
        spacings = [float(word) for word in fields["spacings"].split()]
    except ValueError:
        spacings = []
    if len(spacings) != len(sizes):
        msg = f"{path} has a damaged header: spacings is {fields['spacings'][:60]!r}; expected {len(sizes)} numbers, one an axis."
        raise UnreadableImageError(msg)
    in_space = [axis for axis in range(len(sizes)) if axis != values_axis][:3]
    return all(math.isfinite(spacings[axis]) for axis in in_space if sizes[axis] > 1)


def _is_own(key: str) -> bool:
    return key.startswith("casewise_") and key.isidentifier()
