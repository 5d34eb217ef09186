"""NRRD and MetaImage by SimpleITK, in their own index order (i, j, k) with an affine to RAS mm."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.errors import UnreadableImageError
from casewise.formats.found import Kind
from casewise.formats.guard import check_claim, finished, numbered
from casewise.image import Array, Image

SPACING_KEY = "casewise_spacing_known"
_IO = {Kind.NRRD: "NrrdImageIO", Kind.META: "MetaImageIO", Kind.PNG: "PNGImageIO"}
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_DATA_FILE = re.compile(rb"^\s*(?:data ?file|elementdatafile)\s*[:=]\s*(.*?)\s*$", re.IGNORECASE | re.MULTILINE)
_COMPRESSED = re.compile(rb"^\s*(?:encoding\s*:\s*(?!raw)|compresseddata\s*=\s*true)", re.IGNORECASE | re.MULTILINE)
_NO_SPACE = re.compile(rb"^\s*(?:spacings|space directions|elementspacing|elementsize)\s*[:=]", re.IGNORECASE | re.MULTILINE)
_HEADER_BYTES = 1 << 16
_PACKED = 1100.0


def read_itk(path: Path, kind: Kind, member: str | None) -> Image:
    """(1, i, j[, k]); three bytes a voxel are RGB, (3, …). A fourth axis or a vector needs ``member="volume=n"``, from 0."""
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO(_IO[kind])
    reader.SetFileName(str(path))
    head = _head(path)
    stored = _stored(path, head)
    reader.ReadImageInformation()
    size = reader.GetSize()
    components = reader.GetNumberOfComponents()
    packed = _COMPRESSED.search(head) is not None
    check_claim(path, (*size, components), _itemsize(reader), stored, _PACKED if packed else 1.0)
    if not 2 <= len(size) <= 4:
        raise UnreadableImageError(f"{path} has {len(size)} axes; 2, 3 or 4 are read.")
    image = reader.Execute()
    array = _i_first(SimpleITK.GetArrayFromImage(image), components)
    array = _chosen(path, array, len(size), member)
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    known = _NO_SPACE.search(head) is not None and image_says_known(image)
    header: dict[str, object] = {
        "format": kind.value,
        "spacing_known": known,
        "photometric": "RGB" if array.shape[0] == 3 else "MONOCHROME2",
    }
    return finished(path, array, _affine(path, image), header)


def image_says_known(image: Any) -> bool:
    """Whether the file's voxel size is real; casewise notes it where it wrote a picture that has none."""
    return not (image.HasMetaDataKey(SPACING_KEY) and image.GetMetaData(SPACING_KEY) == "no")


def picture_array(path: Path) -> Array:
    """(row, column, channel) of a PNG, in its own depth."""
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    array: Array = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path), imageIO=_IO[Kind.PNG]))
    return array


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEADER_BYTES)


def _stored(path: Path, head: bytes) -> int:
    """Bytes that the voxels can come from; refuses a header that points at files outside its own folder."""
    text = head.split(b"\n\n")[0] if head.startswith(b"NRRD") else head
    match = _DATA_FILE.search(text)
    if match is None or match[1].upper() == b"LOCAL":
        return path.stat().st_size
    name = match[1].decode("utf-8", "replace")
    if name.upper().startswith("LIST") or "%" in name:
        msg = f"{path} keeps its voxels in several files, which is not read; save it as one .nrrd or .mha file."
        raise UnreadableImageError(msg)
    data = Path(name)
    if data.is_absolute() or ".." in data.parts:
        raise UnreadableImageError(f"{path} points at voxels outside its own folder, which is refused; keep both files together.")
    if not (path.parent / data).is_file():
        raise UnreadableImageError(f"{path} keeps its voxels in {data.name}, which is not beside it.")
    return (path.parent / data).stat().st_size


def _itemsize(reader: Any) -> int:
    import SimpleITK

    name = SimpleITK.GetPixelIDValueAsString(reader.GetPixelID())
    bits = re.search(r"(\d+)-bit", name)
    return int(bits[1]) // 8 if bits else 8


def _i_first(array: Array, components: int) -> Array:
    """(C, i, j, …) from SimpleITK's (…, j, i[, C])."""
    if components > 1:
        return np.moveaxis(array, -1, 0).transpose(0, *range(array.ndim - 1, 0, -1))
    return array.transpose()[None]


def _chosen(path: Path, array: Array, axes: int, member: str | None) -> Array:
    if axes == 4 and array.shape[-1] == 1:
        array, axes = array[..., 0], 3
    components = array.shape[0]
    if axes == 4 and components > 1:
        raise UnreadableImageError(f"{path} has {components} values a voxel on four axes; save one volume of it as its own file.")
    if axes == 4:
        array = np.moveaxis(array[0], -1, 0)
    elif components == 1 or (components == 3 and array.dtype == np.uint8):
        numbered(path, member, "volume", 1)
        return array
    volume = numbered(path, member, "volume", array.shape[0])
    if volume is None:
        count = array.shape[0]
        msg = f'{path} holds {count} volumes; choose one by member="volume=0" to member="volume={count - 1}".'
        raise UnreadableImageError(msg)
    return array[volume : volume + 1]


def _affine(path: Path, image: Any) -> npt.NDArray[np.float64]:
    axes = image.GetDimension()
    used = min(axes, 3)
    direction = np.asarray(image.GetDirection(), dtype=np.float64).reshape(axes, axes)
    affine = np.eye(4)
    affine[:used, :used] = direction[:used, :used] * np.asarray(image.GetSpacing()[:used])
    affine[:used, 3] = image.GetOrigin()[:used]
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine)) < 1e-12:
        raise UnreadableImageError(f"{path} has directions or spacings that do not describe a grid; correct its header.")
    return _LPS_TO_RAS @ affine
