"""A picture with findings drawn in as a DICOM secondary capture, for viewers that display nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from casewise.finding import Finding
from casewise.formats.dicom.body_part import body_part_of
from casewise.formats.dicom.result_object import EQUIPMENT, building, save, uids_of
from casewise.formats.dicom.result_source import ResultSource
from casewise.image import Array, Image
from casewise.reporting.dicom_about import NOT_VERIFIED, About
from casewise.reporting.dicom_picture import drawn_findings, drawn_map, sides, slices
from casewise.reporting.pictures import Pixels

SUFFIX = ".capture.dcm"
_LOSSY = ("LossyImageCompressionRatio", "LossyImageCompressionMethod")


def write_capture(
    path: Path,
    image: Image,
    findings: Sequence[Finding],
    masks: Mapping[str, Array],
    source: ResultSource,
    *,
    about: About,
    series_number: int = 902,
) -> Path:
    """Write a colour picture of the image with its findings; see :func:`casewise.reporting.dicom_picture.drawn_findings`.

    masks : by ``Finding.mask_name``, on the image's grid. The same picture of the same images gets the same UIDs.
    Raises CasewiseError for what cannot be built or written.
    """
    drawn = drawn_findings(image, findings, masks, about)
    shown = [source.references[index] for index in slices(image, findings, masks)]
    return _write(path, drawn, image, source, shown, "casewise picture", series_number)


def write_map_capture(
    path: Path, image: Image, title: str, values: Array, source: ResultSource, *, about: About, series_number: int = 903
) -> Path:
    """Write a map (rows, columns) over its picture: what a parametric map is to a volume. Raises CasewiseError as above."""
    drawn = drawn_map(image, title, values, about)
    return _write(path, drawn, image, source, source.references, "casewise map", series_number)


def _write(
    path: Path,
    drawn: Pixels,
    image: Image,
    source: ResultSource,
    shown: Sequence[tuple[str, str, int | None]],
    description: str,
    series_number: int,
) -> Path:
    source.check_not_own(path)
    content = hashlib.sha256(drawn.tobytes()).hexdigest()
    identity = [description, *(f"{instance} {frame}" for _, instance, frame in shown), str(drawn.shape), content]
    with building("a secondary capture"):
        built = _built(drawn, source, shown, sides(image), description, series_number, identity)
    return save(built, path, SUFFIX)


def _built(
    drawn: Pixels,
    source: ResultSource,
    shown: Sequence[tuple[str, str, int | None]],
    towards: tuple[str, str] | None,
    description: str,
    series_number: int,
    identity: list[str],
) -> Any:
    import highdicom

    first = source.stand_ins[0]
    built: Any = highdicom.sc.SCImage(
        pixel_array=np.ascontiguousarray(drawn),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=towards or ("L", "F"),
        study_instance_uid=first.StudyInstanceUID,
        series_number=series_number,
        instance_number=1,
        patient_id=first.PatientID,
        patient_name=first.PatientName,
        patient_birth_date=first.PatientBirthDate,
        patient_sex=first.PatientSex,
        accession_number=first.AccessionNumber,
        study_id=first.StudyID,
        study_date=first.StudyDate or None,
        study_time=first.StudyTime or None,
        referring_physician_name=first.ReferringPhysicianName,
        series_description=description,
        **uids_of(identity),
        **EQUIPMENT,
    )
    if towards is None:
        built.PatientOrientation = None  # highdicom asks for one
    built.copy_patient_and_study_information(first)
    for keyword, value in body_part_of(source.headers[0]).items():
        setattr(built, keyword, value)
    built.BurnedInAnnotation = "YES"
    built.LossyImageCompression = first.get("LossyImageCompression", "00")
    for keyword in _LOSSY:
        if first.get(keyword):
            setattr(built, keyword, first.get(keyword))
    built.DerivationDescription = NOT_VERIFIED
    built.SourceImageSequence = [_source_item(*reference) for reference in shown]
    return built


def _source_item(sop_class: str, instance: str, frame: int | None) -> Any:
    import highdicom
    from pydicom.dataset import Dataset
    from pydicom.sr.codedict import codes

    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, instance
    if frame is not None:
        item.ReferencedFrameNumber = frame
    purpose = codes.DCM.SourceImageForImageProcessingOperation
    item.PurposeOfReferenceCodeSequence = [highdicom.sr.CodedConcept.from_code(purpose)]
    return item
