"""``write`` and ``write_mask``: images and masks on their own grid, written beside and renamed."""

from __future__ import annotations

import os
from collections.abc import Callable
from gzip import GzipFile
from io import BufferedWriter
from pathlib import Path

import numpy as np

from casewise.errors import CasewiseError
from casewise.files import output
from casewise.formats.itk import ORIENTATION_KEY, SPACING_KEY
from casewise.formats.nifti_geometry import notes
from casewise.formats.single_axis import with_single_axis
from casewise.formats.sniffing import suffix_of
from casewise.image import Array, Image
from casewise.label_map import LabelMap
from casewise.png import packing

_VOLUMES = (".nii.gz", ".nii", ".nrrd", ".mha")
_PICTURES = (".png", ".tif", ".tiff")
MASK_SUFFIXES = (".png", ".tif", ".nrrd", ".mha", ".nii.gz")  # of which :func:`mask_suffix` gives one
_GZIP_LEVEL = 1  # as nibabel
_AT_ONCE = 1 << 20  # bytes


def write(path: str | os.PathLike[str], image: Image | LabelMap) -> Path:
    """Write an image, or the labels of a label map, by its suffix: .nii.gz, .nii, .nrrd, .mha (any), .png (pictures of 8 or 16
    bits), .tif (pictures).

    Voxels, their type and the affine come back by ``read`` as they are (a NIfTI's affine as 32-bit floats). A missing folder is
    made; a file that is there is replaced in one step. A picture that was read from a volume of one plane becomes that
    volume again. A label map's structures are numbered from 1 in the order of its names; overlapping ones are refused.
    """
    path = Path(path)
    if isinstance(image, LabelMap):
        image = Image(image.labels(overlap=False)[None], image.affine, image.header)
    suffix = suffix_of(path)
    if suffix not in _VOLUMES + _PICTURES:
        allowed = ", ".join(_VOLUMES + _PICTURES)
        raise CasewiseError(f"{path} cannot be written: its suffix is {suffix or 'missing'}; allowed are {allowed}.")
    if suffix in _PICTURES and image.spatial_dims != 2:
        raise CasewiseError(f"{path} cannot hold a volume {image.spatial_shape}; write it as one of {', '.join(_VOLUMES)}.")
    writer: Callable[[Path, Image], None]
    if suffix in (".nii", ".nii.gz"):
        writer = _write_nifti
    elif suffix in (".nrrd", ".mha"):
        writer = _write_itk
    else:
        writer = _write_png if suffix == ".png" else _write_tiff
    with output(path, suffix=suffix) as beside:
        writer(beside, image)
    return path


def write_mask(path: str | os.PathLike[str], mask: Array | LabelMap, like: Image) -> Path:
    """Write a mask or labels (*spatial) as uint8, exactly on the grid of ``like``.

    Labels keep their numbers; a label map's structures are numbered from 1. A boolean mask is 0 and 1, in a PNG or TIFF 0 and 255,
    so that it can be seen.
    """
    path = Path(path)
    if isinstance(mask, LabelMap):
        mask.check_grid(like)
        mask = mask.labels(overlap=False)
    if tuple(mask.shape) != like.spatial_shape:
        raise CasewiseError(f"The mask's shape {tuple(mask.shape)} is not that of the image, {like.spatial_shape}.")
    if mask.dtype.kind not in "biu" or (mask.size and (mask.min() < 0 or mask.max() > 255)):
        raise CasewiseError(f"A mask is boolean or holds whole numbers from 0 to 255; got {mask.dtype}.")
    labels = mask.astype(np.uint8)
    if mask.dtype == bool and suffix_of(path) in _PICTURES:
        labels *= np.uint8(255)
    return write(path, Image(labels[None], like.affine, like.header.of_masks(like.spatial_dims)))


def mask_suffix(image: Image) -> str:
    """The suffix for a mask in the image's own kind of file: ``.png`` for a picture, a volume's own, ``.nii.gz`` for DICOM."""
    kind = image.header.format
    if kind in ("PNG", "JPEG", "BMP", "TIFF") and image.spatial_dims == 2:
        return ".tif" if kind == "TIFF" else ".png"
    return {"NRRD": ".nrrd", "MetaImage": ".mha"}.get(str(kind), ".nii.gz")


def _write_nifti(path: Path, image: Image) -> None:
    import nibabel as nib

    image = with_single_axis(image)
    array = image.array
    if image.channels == 3 and array.dtype == np.uint8:
        voxels = np.ascontiguousarray(np.moveaxis(array, 0, -1)).view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]
    elif image.channels == 1:
        # A plane's columns one after the other, as the file has them: gathered one by one they take longer than all the rest.
        voxels = np.asfortranarray(array[0]) if image.spatial_dims == 2 or 1 in image.spatial_shape else array[0]
    else:
        given = f"{image.channels} channels of {array.dtype}"
        raise CasewiseError(f"{path} cannot hold {given}; one channel, or RGB of 8 bits, is written.")
    nifti = nib.Nifti1Image(voxels, image.affine, dtype=voxels.dtype)
    nifti.set_sform(image.affine, 1)
    nifti.set_qform(image.affine, 1)
    if np.abs(nifti.get_qform() - image.affine).max() > 1e-3:
        nifti.header["qform_code"] = 0
    nifti.header.set_xyzt_units("mm")
    nifti.header["descrip"] = notes(image.header)
    if path.suffix != ".gz":
        nifti.to_filename(path)
        return
    with (
        path.open("wb") as file,
        GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as packed,
        BufferedWriter(packed, _AT_ONCE) as together,  # nibabel hands over a column at a time
    ):
        nifti.to_stream(together)


def _write_itk(path: Path, image: Image) -> None:
    import SimpleITK

    image = with_single_axis(image)
    dims = image.spatial_dims
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    array = image.array[0].T if image.channels == 1 else np.moveaxis(image.array, 0, -1).transpose(*range(dims - 1, -1, -1), dims)
    if dims == 2 and image.header.single_axis == -1:
        affine = affine[np.ix_([0, 1, 3], [0, 1, 3])]  # as its own file had it: two axes, nowhere in space
        spacing = spacing[:2]
    elif dims == 2:
        # A plane in space is a volume of one slice: two axes alone would lose where it lies.
        array = array[None]
    written = SimpleITK.GetImageFromArray(np.ascontiguousarray(array), isVector=image.channels > 1)
    written.SetSpacing(spacing.tolist())
    written.SetOrigin(affine[:-1, -1].tolist())
    written.SetDirection((affine[:-1, :-1] / spacing).ravel().tolist())
    if not image.header.spacing_known:
        written.SetMetaData(SPACING_KEY, "no")
    if image.header.orientation_known != image.header.spacing_known:
        written.SetMetaData(ORIENTATION_KEY, "yes" if image.header.orientation_known else "no")
    SimpleITK.WriteImage(written, str(path), useCompression=True)


def _write_png(path: Path, image: Image) -> None:
    from PIL import Image as Pillow

    array = image.array
    if not ((array.dtype == np.uint8 and image.channels in (1, 3)) or (array.dtype == np.uint16 and image.channels == 1)):
        given = f"{image.channels} channels of {array.dtype}"
        msg = f"{path} cannot hold {given}: a PNG has grey of 8 or 16 bits or RGB of 8; write a .tif."
        raise CasewiseError(msg)
    pixels = array[0] if image.channels == 1 else np.moveaxis(array, 0, -1)
    picture = Pillow.fromarray(np.ascontiguousarray(pixels))
    picture.save(path, format="PNG", **packing(picture))


def _write_tiff(path: Path, image: Image) -> None:
    import tifffile

    pixels = image.array[0] if image.channels == 1 else np.moveaxis(image.array, 0, -1)
    photometric = "rgb" if image.channels == 3 else "minisblack"
    tifffile.imwrite(path, np.ascontiguousarray(pixels), photometric=photometric, compression="zlib", metadata=None)
