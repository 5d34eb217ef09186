"""Masks as a DICOM Segmentation object beside the images that they were found in, so that a PACS and its viewers show them."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise import __version__
from casewise.errors import CasewiseError
from casewise.files import output
from casewise.formats.dicom.origin import headers_of, origin
from casewise.formats.dicom.segment_descriptions import described_segment, unique_labels
from casewise.formats.dicom.slices import Slice
from casewise.formats.dicom.source_planes import check_identified, name_sources, slice_thickness, stand_ins
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
) -> Path:
    """Write masks (*spatial), by name, as one binary DICOM SEG on the planes that ``image`` was read from.

    masks : a label map on the image's grid, or a mapping of arrays.

    A plane's position and orientation are those of its own instance, so that no axis can come out turned. Masks may overlap; empty
    ones are left out. by_hand : whether a person's strokes took part (DICOM's SEMIAUTOMATIC). The same masks of the same images get
    the same UIDs. The object names the patient as its source does, in UTF-8: it is for the PACS that the source came from. What a
    header has no sound value of (a birth date of zeros, a sex U) is left empty. A picture that lies nowhere in the patient, such as
    a radiograph, gets no frame of reference and no plane positions.

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
    planes = origin(image)
    if any(path.exists() and path.samefile(plane.file) for plane in planes):
        raise CasewiseError(f"{path} is a file of the image itself; choose another name for its segmentation.")
    built = _built(planes, filled, by_hand, series_number)
    with output(path, suffix=SUFFIX) as beside:
        _save(built, beside)
    return path


def _save(built: Any, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they quote values of the header
        built.save_as(path, enforce_file_format=True)


def _built(planes: list[Slice], masks: Mapping[str, npt.NDArray[np.bool_]], by_hand: bool, series_number: int) -> Any:
    import highdicom
    from pydicom.uid import generate_uid

    stacked = np.stack(list(masks.values()), axis=-1)  # (row, column[, slice], segment)
    frames = stacked[None] if stacked.ndim == 3 else np.moveaxis(stacked, 2, 0)
    content = hashlib.sha256(np.packbits(frames).tobytes()).hexdigest()
    # What cannot be encoded (a lone surrogate of a file's name) must not end the writing of a UID either.
    names = [name.encode("utf-8", "replace").decode() for name in masks]
    identity = [*(plane.instance for plane in planes), *names, content, str(by_hand)]
    headers = headers_of(planes)
    check_identified(headers, planes)
    sources = stand_ins(planes, headers)
    geometry = _geometry(planes, headers) if all(plane.placed for plane in planes) else {}
    described = [
        described_segment(number, name, label, by_hand)
        for number, (name, label) in enumerate(zip(names, unique_labels(names), strict=True), start=1)
    ]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # highdicom's warnings quote the patient's name
            built = highdicom.seg.Segmentation(
                source_images=sources,
                pixel_array=frames.astype(np.uint8),
                segmentation_type="BINARY",
                segment_descriptions=described,
                series_instance_uid=generate_uid(entropy_srcs=["series", *identity]),
                series_number=series_number,
                sop_instance_uid=generate_uid(entropy_srcs=["instance", *identity]),
                instance_number=1,
                manufacturer="casewise",
                manufacturer_model_name="casewise",
                software_versions=__version__,
                device_serial_number="0",
                content_label="CASEWISE",
                series_description="casewise segmentation",
                specific_character_set="ISO_IR 192",
                **geometry,
            )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
        raise CasewiseError(f"The DICOM headers do not hold what a segmentation object must name: {reason}.") from error
    name_sources(built, sources, planes, headers)
    if geometry:
        # highdicom takes those of its source images, here of the stand-ins, where the planes agree.
        built.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence = geometry["pixel_measures"]
    else:
        # The only word on where a picture's rows and columns run to.
        built.PatientOrientation = headers[0].get("PatientOrientation")
    return built


def _geometry(planes: list[Slice], headers: list[Any]) -> dict[str, Any]:
    """Where each frame lies, as its own plane states it; a tilted gantry's sheared stack included."""
    import highdicom

    first = planes[0]
    apart = [float(np.dot(np.subtract(b.position or (), a.position or ()), a.normal)) for a, b in pairwise(planes)]
    between = abs(float(np.mean(apart))) if apart else None
    return {
        "plane_positions": [highdicom.PlanePositionSequence("PATIENT", list(plane.position or ())) for plane in planes],
        "plane_orientation": highdicom.PlaneOrientationSequence("PATIENT", list(first.orientation or ())),
        "pixel_measures": highdicom.PixelMeasuresSequence(
            pixel_spacing=list(first.spacing or ()),
            # Where it is not stated, what a slice stands for is the distance to the next. Readers ask for a thickness even of a
            # single plane of which none is known; it is then as thick as in the image's affine.
            slice_thickness=slice_thickness(headers[0], first.frame) or between or first.thickness or 1.0,
            spacing_between_slices=between,
        ),
    }
