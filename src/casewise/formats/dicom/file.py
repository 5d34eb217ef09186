"""A DICOM file's data set, read within limits: the one place where a file is handed to pydicom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from casewise.formats.dicom.deflated import inflated
from casewise.formats.dicom.pixels import check_frames
from casewise.formats.guard import BoundedFile


def dataset_of(path: Path, pixels: bool = True) -> Any:
    """The pydicom data set of a file; without ``pixels`` its header alone, for which the rest is not read.

    Raises UnreadableImageError for what is no regular file, for a deflated one that unfolds beyond what its header has room for,
    and for more frames than the file can hold.
    """
    from pydicom import dcmread

    with BoundedFile(path) as file:
        unfolded = inflated(path, file)
        size = unfolded.getbuffer().nbytes if unfolded else file.size
        dataset = dcmread(unfolded or file, force=True, stop_before_pixels=not pixels)
    check_frames(path, dataset, size)
    return dataset
