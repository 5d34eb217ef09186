"""NIfTI-1 and NIfTI-2, plain, gzipped or as .hdr/.img pair. The header is nibabel's; the voxels are read with a bound on memory."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.errors import UnreadableImageError
from casewise.formats.found import Kind
from casewise.formats.guard import BoundedFile, check_claim, finished, numbered
from casewise.formats.inflating import Inflated, Packing
from casewise.formats.regular_files import open_beside
from casewise.formats.single_axis import without_single_axis
from casewise.image import Array, Image

UNKNOWN_SPACING = b"spacing unknown"
_HEADER_BYTES = 540
_GZIP_RATIO = 1100.0
_TO_MM = {1: 1000.0, 2: 1.0, 3: 0.001}


def read_nifti(path: Path, member: str | None) -> Image:
    """(1, i, j, k) in the file's own index order, scaled by its slope and intercept; RGB as (3, i, j, k).

    A 4D file needs ``member="volume=n"``, from 0. A volume of which one axis has length 1 is a picture of the two others.
    ``header['spacing_known']`` is False where the file has neither an affine nor a unit of length.
    """
    with BoundedFile(path) as file:
        header = _header(path, (_unpacked(path, file) or file).read(_HEADER_BYTES))
    shape = _shape(path, header)
    dtype = header.get_data_dtype()
    volume = _volume(path, shape, member)
    spatial = shape[:3]
    affine, about = _geometry(path, header)
    raw = _voxels(path, header, shape, dtype, volume).reshape(spatial, order="F")
    if raw.ndim == 1:
        raw = raw[:, None]
    array, affine, single = without_single_axis(_channels(path, raw), affine)
    if array.shape[0] == 1:
        array = _scaled(array, header)
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


def _volume(path: Path, shape: tuple[int, ...], member: str | None) -> int:
    count = _count(shape)
    volume = numbered(path, member, "volume", count)
    if volume is None and count > 1:
        msg = f'{path} holds {count} volumes; choose one by member="volume=0" to member="volume={count - 1}".'
        raise UnreadableImageError(msg)
    return volume or 0


def _voxels(path: Path, header: Any, shape: tuple[int, ...], dtype: np.dtype[Any], volume: int) -> Array:
    offset = int(header["vox_offset"])
    if not 0 <= offset < 1 << 40:
        raise UnreadableImageError(f"{path} has a damaged NIfTI header: its voxels begin at byte {offset}.")
    size = int(np.prod(shape[:3], dtype=np.int64)) * dtype.itemsize
    pair = header["magic"].item()[:3] in (b"ni1", b"ni2")
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


def _scaled(array: npt.NDArray[Any], header: Any) -> Array:
    slope, intercept = header.get_slope_inter()
    if slope is None or (slope == 1 and intercept in (0, None)):
        return array
    wide = np.dtype(np.float32 if array.dtype.itemsize <= 2 else np.float64)
    scaled: Array = array.astype(wide) * wide.type(slope) + wide.type(intercept or 0)
    return scaled


def _geometry(path: Path, header: Any) -> tuple[npt.NDArray[np.float64], dict[str, object]]:
    """Affine from voxel indices to RAS mm, from the sform, else the qform, else the voxel size alone."""
    unit = int(header["xyzt_units"]) & 7
    scale = _TO_MM.get(unit, 1.0)
    known = UNKNOWN_SPACING not in header["descrip"].item()
    if int(header["sform_code"]) > 0 or int(header["qform_code"]) > 0:
        affine = np.asarray(header.get_best_affine(), dtype=np.float64)
        affine[:3] *= scale
        lengths = np.linalg.norm(affine[:3, :3], axis=0)
        unsound = not np.isfinite(affine).all() or lengths.min() < 1e-6 or lengths.max() > 1e4
        if unsound or abs(np.linalg.det(affine[:3, :3] / lengths)) < 1e-4:
            msg = f"{path} has an affine (sform or qform) that does not describe a grid; correct it and save the file again."
            raise UnreadableImageError(msg)
        return affine, {"spacing_known": known}
    zooms = [float(zoom) for zoom in header["pixdim"][1:4]]
    sizes = [zoom for zoom, length in zip(zooms, header["dim"][1:4], strict=True) if length > 1]
    if not all(np.isfinite(sizes)) or any(not 1e-6 < size < 1e4 for size in sizes):
        msg = f"{path} has neither an affine nor a voxel size that can be: pixdim is {zooms}; set it and save the file again."
        raise UnreadableImageError(msg)
    sound = [zoom if np.isfinite(zoom) and 1e-6 < zoom < 1e4 else 1.0 for zoom in zooms]
    affine = np.diag([*(scale * zoom for zoom in sound), 1.0])
    return affine, {"spacing_known": known and unit in _TO_MM, "orientation_known": False}
