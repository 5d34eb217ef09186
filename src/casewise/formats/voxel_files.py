"""What an NRRD or MetaImage header says of its voxels, and the voxels: from the file itself or one beside it, from nowhere else."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.errors import UnreadableImageError
from casewise.formats.guard import BoundedFile, check_claim
from casewise.formats.inflating import Inflated, Packing
from casewise.formats.regular_files import open_beside

HEADER_LIMIT = 16 << 20
_PACKED = 1100.0
_TEXT, _HEX = "text", "hex"


@dataclass(frozen=True)
class VoxelHeader:
    """A header, parsed whole.

    sizes : of the file's own axes, the fastest first, that of the values of one voxel among them. values_axis : which that is.
    encoding : a ``Packing``, ``text`` or ``hex``. data : the name of the file beside it that holds the voxels, None for its own.
    start : where they begin; -1: they are the last of the file. skip_lines, skip : lines, then (unpacked) bytes to pass over.
    geometry : the same header without a word of where the voxels are, for SimpleITK. over_time : whether the values of a voxel
    follow in time. spacing_stated : whether it gives a voxel size. orientation_stated : whether it says how its axes lie in the
    patient. pairs : other keys and what they say.
    """

    sizes: tuple[int, ...]
    dtype: np.dtype[Any]
    geometry: bytes
    values_axis: int | None = None
    over_time: bool = False
    encoding: str = Packing.RAW
    data: str | None = None
    start: int = 0
    skip_lines: int = 0
    skip: int = 0
    spacing_stated: bool = False
    orientation_stated: bool = False
    pairs: Mapping[str, str] = field(default_factory=dict)

    @property
    def axes(self) -> tuple[int, ...]:
        """Sizes of the axes in space, the fastest first; a fourth is of volumes."""
        return tuple(size for number, size in enumerate(self.sizes) if number != self.values_axis)


def voxels(path: Path, header: VoxelHeader) -> npt.NDArray[Any]:
    """(values, i, j, …) as stored. Whatever is missing, too much or fails its check is an error sentence."""
    with BoundedFile(path if header.data is None else open_beside(path, header.data)) as file:
        size = math.prod(header.sizes) * header.dtype.itemsize
        ratio = {Packing.RAW: 1.0, _HEX: 1.0, _TEXT: float(header.dtype.itemsize)}.get(header.encoding, _PACKED)
        check_claim(path, header.sizes, header.dtype.itemsize, file.size, ratio)
        _move(path, header, file, size)
        flat = _values(path, header, file, size)
    array = flat.reshape(header.sizes, order="F")
    return array[None] if header.values_axis is None else np.moveaxis(array, header.values_axis, 0)


def _move(path: Path, header: VoxelHeader, file: BoundedFile, size: int) -> None:
    start = file.size - size if header.start < 0 else header.start
    if not 0 <= start <= file.size:
        raise UnreadableImageError(f"{path} is cut short: its voxels would begin at byte {start:,} of {file.size:,}.")
    file.seek(start)
    for _ in range(header.skip_lines):
        if not file.readline(HEADER_LIMIT).endswith(b"\n"):
            raise UnreadableImageError(f"{path} tells to pass over {header.skip_lines:,} lines before its voxels; there are fewer.")


def _values(path: Path, header: VoxelHeader, file: BoundedFile, size: int) -> npt.NDArray[Any]:
    if header.encoding == Packing.RAW:
        if header.skip < 0:
            file.seek(max(0, file.size - size))
        else:
            file.seek(header.skip, os.SEEK_CUR)
        buffer = bytearray(min(size, max(0, file.size - file.tell())))
        got = file.readinto(buffer)
        _check_length(path, got, size)
        if header.data is None and header.start >= 0 and header.skip >= 0 and file.read(1 << 16).strip(b"\0\r\n\t "):
            msg = f"{path} holds more voxels than its header describes: bytes were inserted, or its header is damaged."
            raise UnreadableImageError(msg)
        return np.frombuffer(buffer, header.dtype)
    if header.encoding == _TEXT:
        wide = np.dtype(np.float64 if header.dtype.kind == "f" else np.uint64 if header.dtype.str[1:] == "u8" else np.int64)
        numbers = np.fromstring(file.read().decode("ascii"), wide, sep=" ")
        _check_length(path, numbers.size * header.dtype.itemsize, size)
        values = numbers[: size // header.dtype.itemsize]
        if values.size and header.dtype.kind != "f" and not _fits(values, header.dtype):
            raise UnreadableImageError(f"{path} holds values that its own type, {header.dtype.name}, has no room for.")
        return values.astype(header.dtype)
    if header.encoding == _HEX:
        plain = bytes.fromhex(file.read().decode("ascii"))
        _check_length(path, len(plain), size)
        return np.frombuffer(plain[:size], header.dtype)
    unpacked = Inflated(path, file, Packing(header.encoding))
    unpacked.skip(max(0, header.skip))
    content = unpacked.exactly(size)
    unpacked.check_end()
    return np.frombuffer(content, header.dtype)


def _fits(values: npt.NDArray[Any], dtype: np.dtype[Any]) -> bool:
    limits = np.iinfo(dtype)
    return bool(limits.min <= int(values.min()) and int(values.max()) <= limits.max)


def _check_length(path: Path, there: int, size: int) -> None:
    if there < size:
        raise UnreadableImageError(f"{path} is cut short: {there:,} of {size:,} bytes of voxels are there.")


def words(value: bytes) -> str:
    """A header's value as text; what is not UTF-8 is taken as Latin-1."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def counts(path: Path, name: str, value: str, least: int = 1, most: int = 1 << 40) -> tuple[int, ...]:
    """The whole numbers of a field, all of ``least`` to ``most``."""
    try:
        numbers = tuple(int(word) for word in value.split())
    except ValueError:
        numbers = ()
    if not numbers or not all(least <= number <= most for number in numbers):
        msg = f"{path} has a damaged header: {name} is {value[:60]!r}; expected whole numbers from {least} to {most}."
        raise UnreadableImageError(msg)
    return numbers


def count(path: Path, name: str, value: str, least: int = 1, most: int = 1 << 40) -> int:
    """The one whole number of a field."""
    numbers = counts(path, name, value, least, most)
    if len(numbers) != 1:
        raise UnreadableImageError(f"{path} has a damaged header: {name} is {value[:60]!r}; expected one number.")
    return numbers[0]


def plain_line(path: Path, name: str, value: str) -> str:
    """A value that goes into the header that SimpleITK is given: one line of printable ASCII."""
    if len(value) > 4096 or not value.isascii() or not value.isprintable():
        raise UnreadableImageError(f"{path} has a damaged header: {name} holds what no such field can.")
    return value
