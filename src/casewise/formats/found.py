"""What a scan of files and folders comes to: images that can be read, and files that cannot, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Kind(StrEnum):
    """The kinds of file that are read; the value is the name that users see."""

    DICOM = "DICOM"
    NIFTI = "NIfTI"
    NRRD = "NRRD"
    META = "MetaImage"
    PNG = "PNG"
    JPEG = "JPEG"
    TIFF = "TIFF"
    BMP = "BMP"
    HDF5 = "HDF5"


@dataclass(frozen=True)
class Found:
    """An image that ``read(path, member)`` gives.

    path : a file, or the folder of a DICOM series of several files.
    member : names one image of several inside ``path``; None where there is only one.
    files : every file that the image is made of, in the order of its slices.
    notes : what the reader may want to know (a dropped duplicate, a stack separated from another).
    series : UID of the DICOM series that it is of, "" where there is none.
    """

    path: Path
    member: str | None
    files: tuple[Path, ...]
    kind: Kind
    notes: tuple[str, ...] = ()
    series: str = ""


@dataclass(frozen=True)
class Rejected:
    """A file (or a DICOM series, by its folder) that cannot be read, and why, in one sentence.

    is_image : False for what never was an image (a text file, a table); True for an image that cannot be read.
    mask_of : UIDs of the DICOM series that a DICOM Segmentation is a mask of; None for what is no such file.
    """

    path: Path
    reason: str
    is_image: bool
    mask_of: tuple[str, ...] | None = None
