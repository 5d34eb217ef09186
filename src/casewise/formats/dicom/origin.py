"""The DICOM planes that an image was read from: what results that go back to a PACS have to name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from casewise.errors import CasewiseError, UnreadableImageError
from casewise.formats.dicom.instances import headers
from casewise.formats.dicom.slices import Slice
from casewise.formats.dicom.stacks import affine_of, stacks_of
from casewise.formats.found import Kind
from casewise.image import Image

_NEAR = 1e-3  # mm


def origin(image: Image) -> list[Slice]:
    """The planes of an image read from DICOM, in the order of its slices or frames (a picture has one), found by their headers.

    Raises CasewiseError where the image is not from DICOM, or its planes are no longer to be found beside its source.
    """
    if image.header.format != Kind.DICOM.value or image.source is None:
        raise CasewiseError("The image was not read from DICOM, so that no DICOM object can refer to it.")
    source = Path(image.source)
    try:
        files = sorted(path for path in source.iterdir() if path.is_file()) if source.is_dir() else [source]
    except OSError as error:
        raise CasewiseError(f"{source} can no longer be read: {error.strerror}.") from error
    slices, _ = headers(files)
    series = image.header.series
    for planes in _candidates([plane for plane in slices if series is None or plane.series == series]):
        if planes[0].name == (image.header.instance or planes[0].name) and _shows(planes, image):
            if planes[0].tile:
                raise CasewiseError(f"{source} is a mosaic, many slices in one picture, so that no DICOM object can refer to them.")
            return planes
    raise CasewiseError(f"The DICOM planes of {source} no longer lie where the image read from them does.")


def headers_of(planes: list[Slice]) -> list[Any]:
    """The pydicom data sets of the planes' files without their pixels, one a file, in the order of the planes."""
    from casewise.formats.dicom.file import dataset_of

    return [dataset_of(path, pixels=False) for path in dict.fromkeys(plane.file for plane in planes)]


def _candidates(slices: list[Slice]) -> list[list[Slice]]:
    """Whole stacks, then planes alone: a frame may have been read by its number."""
    stacks = [list(stack.slices) for stack in stacks_of(slices)]
    alone = [[plane] for stack in stacks if len(stack) > 1 for plane in stack]
    return [*stacks, *alone]


def _shows(planes: list[Slice], image: Image) -> bool:
    shape = planes[0].shape if len(planes) == 1 else (*planes[0].shape, len(planes))
    if shape != image.spatial_shape:
        return False
    if not all(plane.placed for plane in planes):
        # Without a place in the patient a picture of several in a file is known by its name alone; the frames of a file are a loop.
        named = image.header.instance is not None
        if len(planes) == 1:
            return named or planes[0].frame is None
        return named and image.is_loop and len({plane.file for plane in planes}) == 1
    try:
        return bool(np.abs(affine_of(planes[0].file, tuple(planes)) - image.affine).max() < _NEAR)
    except UnreadableImageError:
        return False
