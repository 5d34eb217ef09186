"""Masks as a DICOM Segmentation object beside the images that they were found in, so that a PACS and its viewers show them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.errors import CasewiseError
from casewise.formats.dicom.result_object import EQUIPMENT, building, save, uids_of
from casewise.formats.dicom.result_source import ResultSource
from casewise.formats.dicom.segment_descriptions import described_segment, unique_labels
from casewise.formats.dicom.source_planes import name_sources
from casewise.image import Image
from casewise.label_map import LabelMap

SUFFIX = ".seg.dcm"


def segmentation_of(
    path: Path, masks: Mapping[str, npt.NDArray[Any]], image: Image, *, by_hand: bool = False
) -> tuple[Path | None, str]:
    """Where the masks of an image from DICOM were written; else None, with a sentence where one was to be expected."""
    if image.header.format != "DICOM" or not any(np.any(mask) for mask in masks.values()):
        return None, ""
    try:
        return write_segmentation(path, masks, image, by_hand=by_hand), ""
    except CasewiseError as error:
        return None, f"No DICOM segmentation was written: {error}"


def write_segmentation(
    path: str | os.PathLike[str],
    masks: Mapping[str, npt.NDArray[Any]],
    image: Image,
    *,
    by_hand: bool = False,
    series_number: int = 900,
    source: ResultSource | None = None,
) -> Path:
    """Write masks (*spatial), by name, as one binary DICOM SEG on the planes that ``image`` was read from.

    masks : a label map on the image's grid, or a mapping of arrays.

    A plane's position and orientation are those of its own instance, so that no axis can come out turned. Masks may overlap; empty
    ones are left out. by_hand : whether a person's strokes took part (DICOM's SEMIAUTOMATIC). The same masks of the same images get
    the same UIDs. The object names the patient as its source does, in UTF-8: it is for the PACS that the source came from. What a
    header has no sound value of (a birth date of zeros, a sex U) is left empty. A picture that lies nowhere in the patient, such as
    a radiograph, gets no frame of reference and no plane positions. source : of the image, where the caller has it already.

    Raises CasewiseError where the image is not from DICOM, its headers lack what a SEG must name, no mask holds anything, or
    ``path`` is one of the image's own files.
    """
    path = Path(path)
    if isinstance(masks, LabelMap):
        masks.check_grid(image)
    wrong = [name for name, mask in masks.items() if tuple(mask.shape) != image.spatial_shape]
    if wrong:
        raise CasewiseError(f"The mask {wrong[0]!r} is not on the image's grid {image.spatial_shape}.")
    filled = {name: np.asarray(mask) > 0 for name, mask in masks.items() if np.any(mask)}
    if not filled:
        raise CasewiseError("None of the masks holds anything, and a DICOM segmentation has at least one segment.")
    source = source or ResultSource.of(image)
    source.check_not_own(path)
    if image.is_loop:
        msg = (
            f"{source.planes[0].file} holds several frames without a place in the patient; DICOM segmentations are written of "
            "single pictures and of volumes."
        )
        raise CasewiseError(msg)
    return save(_built(source, filled, by_hand, series_number), path, SUFFIX)


def _built(source: ResultSource, masks: Mapping[str, npt.NDArray[np.bool_]], by_hand: bool, series_number: int) -> Any:
    import highdicom

    stacked = np.stack(list(masks.values()), axis=-1)  # (row, column[, slice], segment)
    frames = stacked[None] if stacked.ndim == 3 else np.moveaxis(stacked, 2, 0)
    content = hashlib.sha256(np.packbits(frames).tobytes()).hexdigest()
    # What cannot be encoded (a lone surrogate of a file's name) must not end the writing of a UID either.
    names = [name.encode("utf-8", "replace").decode() for name in masks]
    identity = [*(plane.instance for plane in source.planes), *names, content, str(by_hand)]
    geometry = source.geometry()
    described = [
        described_segment(number, name, label, by_hand)
        for number, (name, label) in enumerate(zip(names, unique_labels(names), strict=True), start=1)
    ]
    with building("a segmentation object"):
        built = highdicom.seg.Segmentation(
            source_images=source.stand_ins,
            pixel_array=frames.astype(np.uint8),
            segmentation_type="BINARY",
            segment_descriptions=described,
            series_number=series_number,
            instance_number=1,
            content_label="CASEWISE",
            series_description="casewise segmentation",
            **uids_of(identity),
            **EQUIPMENT,
            **geometry,
        )
    name_sources(built, source.stand_ins, source.planes, source.headers)
    if geometry:
        # highdicom takes those of its source images, here of the stand-ins, where the planes agree.
        built.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence = geometry["pixel_measures"]
    else:
        # The only word on where a picture's rows and columns run to.
        built.PatientOrientation = source.headers[0].get("PatientOrientation")
    return built
