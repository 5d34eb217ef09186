"""NIfTI-1 and NIfTI-2, plain, gzipped or as .hdr/.img pair. The header is nibabel's; the voxels are read with a bound on memory."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from casewise.errors import UnreadableImageError
from casewise.formats.found import Kind
from casewise.formats.guard import MOST_IMAGES, BoundedFile, check_claim, finished, numbered, one_of_several
from casewise.formats.inflating import Inflated, Packing
from casewise.formats.nifti_geometry import geometry
from casewise.formats.regular_files import open_beside
from casewise.formats.single_axis import without_single_axis
from casewise.image import Array, Image

_HEADER_BYTES = 540
_GZIP_RATIO = 1100.0
_CHUNK = 16 << 20


def read_nifti(path: Path, member: str | None) -> Image:
    """(1, i, j, k) in the file's own index order, scaled by its slope and intercept; RGB as (3, i, j, k).

    A 4D file needs ``member="volume=n"``, from 0. A volume of which one axis has length 1 is a picture of the two others.
    ``header['spacing_known']`` is False where the file has neither an affine nor a unit of length.
    """
    with BoundedFile(path) as file:
        header = _header(path, (_unpacked(path, file) or file).read(_HEADER_BYTES))
    shape = _shape(path, header)
    dtype = _type(path, header)
    volume = _volume(path, shape, member)
    spatial = shape[:3]
    affine, about = geometry(path, header)
    raw = _voxels(path, header, shape, dtype, volume).reshape(spatial, order="F")
    if raw.ndim == 1:
        raw = raw[:, None]
    array, affine, single = without_single_axis(_channels(path, raw), affine)
    if array.shape[0] == 1:
        array = _scaled(path, array, header)
    about |= {"format": Kind.NIFTI.value, "photometric": "RGB" if array.shape[0] == 3 else "MONOCHROME2"}
    if array.ndim == 3:
        about["single_axis"] = single
    return finished(path, array, affine, about)


def volumes(path: Path) -> int:
    """How many volumes a file holds, by its header."""
    with BoundedFile(path) as file:
        return _count(_shape(path, _header(path, (_unpacked(path, file) or file).read(_HEADER_BYTES))))


def _count(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape[3:], dtype=np.int64))


def _unpacked(path: Path, file: BoundedFile) -> Inflated | None:
    """What a gzip file holds, from its begin; None for a file that is none."""
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    return Inflated(path, file, Packing.GZIP) if packed else None


def _header(path: Path, head: bytes) -> Any:
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    kind = Nifti2Header if head[4:7] in (b"n+2", b"ni2") else Nifti1Header
    if len(head) < kind.template_dtype.itemsize:
        raise UnreadableImageError(f"{path} is cut short: its NIfTI header is not whole.")
    return kind.from_fileobj(io.BytesIO(head[: kind.template_dtype.itemsize]), check=False)


def _shape(path: Path, header: Any) -> tuple[int, ...]:
    dims = [int(n) for n in header["dim"]]
    if not 1 <= dims[0] <= 7 or any(n < 1 for n in dims[1 : dims[0] + 1]):
        raise UnreadableImageError(f"{path} has a damaged NIfTI header: its dimensions are {dims}.")
    shape = tuple(dims[1 : dims[0] + 1])
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _type(path: Path, header: Any) -> np.dtype[Any]:
    from nibabel.spatialimages import HeaderDataError

    code = int(header["datatype"])
    try:
        dtype = cast(np.dtype[Any], header.get_data_dtype())
    except (HeaderDataError, KeyError):
        dtype = np.dtype("V0")
    if dtype.itemsize == 0:
        msg = f"{path} has the data type {code}, which NIfTI does not know or which is not read; save it as integers or floats."
        raise UnreadableImageError(msg)
    return dtype


def _volume(path: Path, shape: tuple[int, ...], member: str | None) -> int:
    count = _count(shape)
    volume = numbered(path, member, "volume", count)
    if volume is None and count > 1:
        members = f'member="volume=0" to member="volume={count - 1}"'
        raise one_of_several(path, f"{count} volumes", members, imported=count <= MOST_IMAGES)
    return volume or 0


def _voxels(path: Path, header: Any, shape: tuple[int, ...], dtype: np.dtype[Any], volume: int) -> Array:
    stated = float(header["vox_offset"])
    if not 0 <= stated < 1 << 40:
        raise UnreadableImageError(f"{path} has a damaged NIfTI header: its voxels begin at byte {stated:g}.")
    size = int(np.prod(shape[:3], dtype=np.int64)) * dtype.itemsize
    pair = header["magic"].item()[:3] in (b"ni1", b"ni2")
    offset = int(stated) if pair else _begin(path, header, int(stated), size * int(np.prod(shape[3:], dtype=np.int64)))
    with BoundedFile(open_beside(path, _partner(path)) if pair else path) as file:
        unpacked = _unpacked(path, file)
        if unpacked is None:
            check_claim(path, shape, dtype.itemsize, file.size - offset)
            file.seek(offset + volume * size)
            buffer = bytearray(size)
            if file.readinto(buffer) < size:
                raise UnreadableImageError(f"{path} is cut short: not all of its {size:,} bytes of voxels are there.")
        else:
            check_claim(path, shape, dtype.itemsize, file.size, _GZIP_RATIO)
            unpacked.skip(offset + volume * size)
            buffer = unpacked.exactly(size)
            # Only at the end of its stream does gzip tell, by a checksum, that a bit was flipped on the way.
            unpacked.skip((_count(shape) - volume - 1) * size)
            unpacked.check_member()
    return np.frombuffer(buffer, dtype=dtype)


def _begin(path: Path, header: Any, stated: int, size: int) -> int:
    """Where the ``size`` bytes of voxels begin in a single file: not before byte 352 (NIfTI-2: 544), whatever is stated.

    Writers that state less mean that place, or, where no extension flag is written, the end of the header. The file's length
    tells; where it tells neither, the file is refused.
    """
    bare = int(header.template_dtype.itemsize)
    usual = bare + 4
    if stated >= usual:
        return stated
    with BoundedFile(path) as file:
        unpacked = _unpacked(path, file)
        length = file.size if unpacked is None else _length(unpacked, usual + size + 1)
    begins = {usual + size: usual, bare + size: bare}.get(length)
    if begins is None:
        msg = (
            f"{path} states that its voxels begin at byte {stated}, inside the header, and its length does not tell where they do "
            f"(byte {usual} is the first that is allowed); correct vox_offset and save the file again."
        )
        raise UnreadableImageError(msg)
    return begins


def _length(unpacked: Inflated, most: int) -> int:
    length = 0
    while length < most and (part := unpacked.read(min(_CHUNK, most - length))):
        length += len(part)
    return length


def _partner(path: Path) -> str:
    """The name of the file of voxels beside a pair's header."""
    stem = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    for suffix in (".img", ".img.gz", ".IMG"):
        if os.path.lexists(candidate := stem.with_name(stem.stem + suffix)):
            return candidate.name
    raise UnreadableImageError(f"{path} is the header of a NIfTI pair, but {stem.stem}.img is not beside it.")


def _channels(path: Path, raw: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(1, …) of a plain type; (3, …) of RGB; RGBA only where it is opaque."""
    if raw.dtype.names is None:
        return raw[None]
    if raw.dtype.names[:3] != ("R", "G", "B"):
        raise UnreadableImageError(f"{path} holds values of type {raw.dtype}; real numbers or RGB are allowed.")
    if "A" in raw.dtype.names and (raw["A"] != 255).any():
        raise UnreadableImageError(f"{path} is partly transparent (RGBA); save it as RGB.")
    return np.stack([raw[name] for name in "RGB"])


def _scaled(path: Path, array: npt.NDArray[Any], header: Any) -> Array:
    """By slope and intercept; a slope of 0 or one that is no number means that there is none."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or not np.isfinite(slope) or (slope, intercept) == (1, 0):
        return array
    if not np.isfinite(intercept):
        raise UnreadableImageError(f"{path} has a slope of {slope:g} with an intercept of {intercept:g}; correct scl_inter.")
    wide = np.dtype(np.float32 if array.dtype.itemsize <= 2 else np.float64)
    scaled: Array = array.astype(wide) * wide.type(slope) + wide.type(intercept)
    return scaled
