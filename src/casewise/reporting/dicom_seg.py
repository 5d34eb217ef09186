"""Masks as a DICOM Segmentation object beside the images that they were found in, so that a PACS and its viewers show them."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise import __version__
from casewise.errors import CasewiseError
from casewise.formats.dicom_origin import headers_of, origin
from casewise.formats.dicom_slices import Slice
from casewise.formats.writing import beside
from casewise.image import Image

SUFFIX = ".seg.dcm"
_PRIVATE_SCHEME = "99CASEWISE"
_STRUCTURE = ("91723000", "SCT", "Anatomical Structure")
_ABNORMAL = ("49755003", "SCT", "Morphologically Abnormal Structure")
_CONCEPT = ("309825002", "SCT", "Spatial and Relational Concept")
# SNOMED CT codes of DICOM PS3.16's context groups; any other name gets a code of our own scheme.
_MAY_BE_EMPTY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
_KNOWN = {
    "left_lung": (_STRUCTURE, ("44029006", "SCT", "Left Lung")),
    "right_lung": (_STRUCTURE, ("3341006", "SCT", "Right Lung")),
    "lungs": (_STRUCTURE, ("39607008", "SCT", "Lung")),
    "heart": (_STRUCTURE, ("80891009", "SCT", "Heart")),
    "left_ventricle": (_STRUCTURE, ("87878005", "SCT", "Left Ventricle")),
    "right_ventricle": (_STRUCTURE, ("53085002", "SCT", "Right Ventricle")),
    "myocardium": (_STRUCTURE, ("74281007", "SCT", "Myocardium")),
    "hippocampus": (_STRUCTURE, ("5366008", "SCT", "Hippocampus")),
    "nodule": (_ABNORMAL, ("27925004", "SCT", "Nodule")),
    "cardiothoracic ratio": (_CONCEPT, ("RATIO_LINES", _PRIVATE_SCHEME, "Cardiothoracic Ratio, Lines Measured")),
    "lesion": (_ABNORMAL, ("52988006", "SCT", "Lesion")),
}


def segmentation_of(
    path: Path, masks: Mapping[str, npt.NDArray[Any]], image: Image, *, by_hand: bool = False
) -> tuple[Path | None, str]:
    """Where the masks of an image from DICOM were written; else None, with a sentence where one was to be expected."""
    if image.header.get("format") != "DICOM" or not any(np.any(mask) for mask in masks.values()):
        return None, ""
    try:
        return write_segmentation(path, masks, image, by_hand=by_hand), ""
    except CasewiseError as error:
        return None, f"No DICOM segmentation was written: {error}"


def write_segmentation(
    path: Path, masks: Mapping[str, npt.NDArray[Any]], image: Image, *, by_hand: bool = False, series_number: int = 900
) -> Path:
    """Write masks (*spatial), by name, as one binary DICOM SEG on the planes that ``image`` was read from.

    A plane's position and orientation are those of its own instance, so that no axis can come out turned. Masks may overlap; empty
    ones are left out. by_hand : whether a person's strokes took part (DICOM's SEMIAUTOMATIC). The same masks of the same images get
    the same UIDs. The object names the patient as its source does: it is for the PACS that the source came from.

    Raises CasewiseError where the image is not from DICOM, its headers lack what a SEG must name, or no mask holds anything.
    """
    wrong = [name for name, mask in masks.items() if tuple(mask.shape) != image.spatial_shape]
    if wrong:
        raise CasewiseError(f"The mask {wrong[0]!r} is not on the image's grid {image.spatial_shape}.")
    filled = {name: np.asarray(mask) > 0 for name, mask in masks.items() if np.any(mask)}
    if not filled:
        raise CasewiseError("None of the masks holds anything, and a DICOM segmentation has at least one segment.")
    planes = origin(image)
    built = _built(planes, filled, by_hand, series_number)
    beside(path, SUFFIX, lambda temporary: built.save_as(temporary, enforce_file_format=True))
    return path


def _built(planes: list[Slice], masks: Mapping[str, npt.NDArray[np.bool_]], by_hand: bool, series_number: int) -> Any:
    import highdicom
    from pydicom.uid import generate_uid

    stacked = np.stack(list(masks.values()), axis=-1)  # (row, column[, slice], segment)
    frames = stacked[None] if stacked.ndim == 3 else np.moveaxis(stacked, 2, 0)
    content = hashlib.sha256(np.packbits(frames).tobytes()).hexdigest()
    identity = [*(plane.instance for plane in planes), *masks, content, str(by_hand)]
    placed = all(plane.placed for plane in planes)
    sources = _complete(headers_of(planes))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # highdicom's warnings quote the patient's name
            built = highdicom.seg.Segmentation(
                source_images=sources,
                pixel_array=frames.astype(np.uint8),
                segmentation_type="BINARY",
                segment_descriptions=[_described(number, name, by_hand) for number, name in enumerate(masks, start=1)],
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
                **(_geometry(planes) if placed else {}),
            )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
        raise CasewiseError(f"The DICOM headers do not hold what a segmentation object must name: {reason}.") from error
    if not placed:
        built.PatientOrientation = sources[0].get(
            "PatientOrientation"
        )  # the only word on where a picture's rows and columns run to
    return built


def _complete(headers: list[Any]) -> list[Any]:
    """With what DICOM wants present but lets be empty (type 2): de-identified files often lack it."""
    for header in headers:
        for keyword in _MAY_BE_EMPTY:
            if keyword not in header:
                setattr(header, keyword, "")
    return headers


def _geometry(planes: list[Slice]) -> dict[str, Any]:
    """Where each frame lies, as its own plane states it; a tilted gantry's sheared stack included."""
    import highdicom

    first = planes[0]
    apart = [float(np.dot(np.subtract(b.position or (), a.position or ()), a.normal)) for a, b in pairwise(planes)]
    thickness = first.thickness or (abs(float(np.mean(apart))) if apart else 1.0)
    return {
        "plane_positions": [highdicom.PlanePositionSequence("PATIENT", list(plane.position or ())) for plane in planes],
        "plane_orientation": highdicom.PlaneOrientationSequence("PATIENT", list(first.orientation or ())),
        "pixel_measures": highdicom.PixelMeasuresSequence(
            pixel_spacing=list(first.spacing or ()),
            slice_thickness=thickness,
            spacing_between_slices=abs(float(np.mean(apart))) if apart else None,
        ),
    }


def _described(number: int, name: str, by_hand: bool) -> Any:
    import highdicom
    from pydicom.sr.codedict import codes

    category, kind = _KNOWN.get(name.rsplit(": ", 1)[-1], (_STRUCTURE, (_own_code(name), _PRIVATE_SCHEME, name[:64])))
    algorithm = highdicom.AlgorithmIdentificationSequence("casewise", codes.cid7162.ArtificialIntelligence, __version__)
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=name[:64],
        segmented_property_category=highdicom.sr.CodedConcept(*category),
        segmented_property_type=highdicom.sr.CodedConcept(*kind),
        algorithm_type="SEMIAUTOMATIC" if by_hand else "AUTOMATIC",
        algorithm_identification=algorithm,
    )


def _own_code(name: str) -> str:
    """At most 16 characters, as a code value has; another name, another code."""
    plain = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name).upper()
    return plain if len(plain) <= 16 else hashlib.sha256(name.encode()).hexdigest()[:16].upper()
