"""NRRD and MetaImage by SimpleITK, in their own index order (i, j, k) with an affine to RAS mm.

A header may leave open how the axes lie in the patient: voxel sizes alone, or directions in a space that is not the patient's.
ITK reads such a file as LPS, 3D Slicer an NRRD file as RAS. The affine is ITK's, and ``orientation_known`` is False.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.errors import UnreadableImageError
from casewise.formats.found import Kind
from casewise.formats.guard import check_claim, finished, numbered, one_of_several
from casewise.formats.metaimage import meta_header
from casewise.formats.nrrd import nrrd_header
from casewise.formats.single_axis import without_single_axis
from casewise.formats.voxel_files import VoxelHeader, voxels
from casewise.header import Header
from casewise.image import Array, Image

SPACING_KEY, ORIENTATION_KEY = "casewise_spacing_known", "casewise_orientation_known"
_IO = {Kind.NRRD: "NrrdImageIO", Kind.META: "MetaImageIO", Kind.PNG: "PNGImageIO"}
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_itk(path: Path, kind: Kind, member: str | None) -> Image:
    """(1, i, j[, k]); three bytes a voxel are RGB, (3, …). A fourth axis or a vector needs ``member="volume=n"``, from 0.

    Pictures over time are a loop, (1, i, j, frame), of which ``member="frame=n"`` takes one.

    A volume of which one axis has length 1 is a picture of the two others.
    """
    header = nrrd_header(path) if kind is Kind.NRRD else meta_header(path)
    if not 2 <= len(header.axes) <= 4:
        raise UnreadableImageError(f"{path} has {len(header.axes)} axes; 2, 3 or 4 are read.")
    check_claim(path, header.sizes, header.dtype.itemsize, 1 << 62)
    image = _information(path, kind, header)
    array: Array = voxels(path, header)
    loop = header.over_time and len(header.axes) == 2
    array = _loop(path, array, member) if loop else _chosen(path, array, header, member)
    array, affine, single = without_single_axis(array, _affine(path, image))
    known = header.spacing_stated and _noted(image, SPACING_KEY) != "no"
    about: dict[str, object] = {
        "format": kind.value,
        "spacing_known": known,
        "orientation_known": _orientation_known(image, header, known),
        "photometric": "RGB" if array.shape[0] == 3 else "MONOCHROME2",
    }
    if loop and array.ndim == 4:
        note = "the third axis counts frames over time, not places in the patient"
        about |= {"spacing_known": False, "orientation_known": False, "third_axis": "time", "axes_note": note}
        about |= {"spacing_at": "patient"} if known else {}
    if array.ndim == 3:
        about["single_axis"] = single
    return finished(path, array, affine, about)


def voxel_file(path: Path, kind: Kind) -> str | None:
    """The name of the file beside an NRRD or MetaImage header that holds its voxels; None where they follow the header."""
    return (nrrd_header(path) if kind is Kind.NRRD else meta_header(path)).data


def read_layers(path: Path) -> Image:
    """(layer, i, j, k) of an NRRD file that may hold several values a voxel."""
    header = nrrd_header(path)
    if len(header.axes) != 3:
        raise UnreadableImageError(f"{path} has {len(header.axes)} axes in space; 3 are read.")
    check_claim(path, header.sizes, header.dtype.itemsize, 1 << 62)
    about = Header(Kind.NRRD.value, header.spacing_stated, header.spacing_stated and header.orientation_stated)
    return Image(voxels(path, header), _affine(path, _information(path, Kind.NRRD, header)), about, path)


def _orientation_known(image: Any, header: VoxelHeader, spacing_known: bool) -> bool:
    """By casewise's own note where it wrote the file, else by the header. A file of two axes lies in a plane of its own."""
    noted = _noted(image, ORIENTATION_KEY)
    if noted is not None:
        return noted == "yes"
    return spacing_known and (header.orientation_stated or len(header.axes) == 2)


def _noted(image: Any, key: str) -> str | None:
    """What casewise noted in a file of its own: ``no`` of a voxel size or an orientation that is not real."""
    return str(image.GetMetaData(key)) if image.HasMetaDataKey(key) else None


def picture_array(path: Path) -> Array:
    """(row, column, channel) of a PNG, in its own depth."""
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    array: Array = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path), imageIO=_IO[Kind.PNG]))
    return array


def _information(path: Path, kind: Kind, header: VoxelHeader) -> Any:
    """SimpleITK's reader that has read where the voxels lie, from a copy of the header that points at no file."""
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO(_IO[kind])
    with tempfile.TemporaryDirectory(prefix="casewise-") as folder:
        copy = Path(folder) / ("header.nrrd" if kind is Kind.NRRD else "header.mha")
        copy.write_bytes(header.geometry)
        reader.SetFileName(str(copy))
        reader.ReadImageInformation()
    values = 1 if header.values_axis is None else header.sizes[header.values_axis]
    if tuple(reader.GetSize()) != header.axes or reader.GetNumberOfComponents() != values:
        raise UnreadableImageError(f"{path} has axes of kinds that are not read; save its voxels as plain numbers.")
    return reader


def _loop(path: Path, array: Array, member: str | None) -> Array:
    """(1, i, j, frame) of (frame, i, j); (1, i, j) of the frame that ``member`` names."""
    frame = numbered(path, member, "frame", array.shape[0])
    return np.moveaxis(array, 0, -1)[None] if frame is None else array[frame : frame + 1]


def _chosen(path: Path, array: Array, header: VoxelHeader, member: str | None) -> Array:
    axes = len(header.axes)
    if axes == 4 and array.shape[-1] == 1:
        array, axes = array[..., 0], 3
    components = array.shape[0]
    if axes == 4 and components > 1:
        raise UnreadableImageError(f"{path} has {components} values a voxel on four axes; save one volume of it as its own file.")
    if axes == 4:
        array = np.moveaxis(array[0], -1, 0)
    elif components == 1 or (components == 3 and array.dtype == np.uint8 and not header.over_time):
        numbered(path, member, "volume", 1)
        return array
    volume = numbered(path, member, "volume", array.shape[0])
    if volume is None:
        count = array.shape[0]
        members = f'member="volume=0" to member="volume={count - 1}"'
        raise one_of_several(path, f"{count} volumes", members, imported=False)
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
