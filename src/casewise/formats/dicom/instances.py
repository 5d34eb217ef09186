"""The slices of DICOM files by their headers alone, and the files that hold none."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from casewise.errors import UnreadableImageError
from casewise.formats.dicom.elements import class_name, text, whole
from casewise.formats.dicom.file import dataset_of
from casewise.formats.dicom.pixels import check_decodable
from casewise.formats.dicom.segmentation_header import is_segmentation, segmentation_of
from casewise.formats.dicom.slices import Slice, slices_of
from casewise.formats.found import Kind, Rejected
from casewise.formats.guard import BoundedFile, one_sentence
from casewise.formats.sniffing import HEAD, kind_by_content

_DIRECTORY = "1.2.840.10008.1.3.10"


def headers(files: Iterable[Path]) -> tuple[list[Slice], dict[Rejected, str]]:
    """The slices of the DICOM files among ``files``, by their headers alone.

    Second come the files that hold none, each with its reason, and the series that it is of ("" if that cannot be determined). A
    segmentation is a mask of other files' images, and none itself.
    """
    slices: list[Slice] = []
    rejected: dict[Rejected, str] = {}
    for file in files:
        try:
            with BoundedFile(file) as opened:
                if kind_by_content(opened.read(HEAD)) is not Kind.DICOM:
                    continue
        except (OSError, UnreadableImageError):
            continue
        dataset = None
        try:
            with one_sentence(file, "a DICOM file", quote=False):
                dataset = image_dataset(file, pixels=False)
                if is_segmentation(dataset):
                    rejected[_mask(file)] = ""
                    continue
                found = slices_of(file, dataset)
                check_decodable(file, dataset)
                slices += found
        except UnreadableImageError as error:
            rejected[Rejected(file, str(error), _is_image(dataset))] = _series_of(dataset)
    return slices, rejected


def image_dataset(path: Path, pixels: bool = True) -> Any:
    """The pydicom data set of an image's file. Raises UnreadableImageError for a DICOMDIR, or where it is cut short."""
    dataset = dataset_of(path, pixels)
    meta = getattr(dataset, "file_meta", None)
    if len(dataset) == 0:
        if meta is not None and meta.get("MediaStorageSOPClassUID") == _DIRECTORY:
            raise UnreadableImageError(f"{path} is an index of DICOM files (DICOMDIR), not an image; give the files' folder.")
        raise UnreadableImageError(f"{path} is a DICOM file without an image: it is cut short, or holds its header only.")
    return dataset


def _series_of(dataset: Any) -> str:
    """The series of a refused file; "" where that cannot be determined."""
    try:
        return "" if dataset is None else text(dataset, "SeriesInstanceUID")
    except Exception:  # whatever pydicom raises for the damaged element that the file is refused for
        return ""


def _is_image(dataset: Any) -> bool:
    """Whether a refused file was meant to be an image: not if it is of another class (a report, a plan, an index)."""
    if dataset is None:
        return True
    try:
        return bool(whole(dataset, "Rows")) or class_name(dataset) == "of no known class" or "Image" in class_name(dataset)
    except Exception:  # its class is as damaged as what it is refused for
        return True


def _mask(file: Path) -> Rejected:
    reason = f"{file} is a DICOM segmentation, a mask of other images, and no image itself."
    return Rejected(file, reason, False, segmentation_of(file).series)
