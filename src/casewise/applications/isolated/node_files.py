"""What a DICOM node is sent: the image's own files, or copies that do not name the patient."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from casewise.applications.isolated.own_files import own_images
from casewise.applications.isolated.task import Task
from casewise.applications.outcome import refused
from casewise.errors import CasewiseError

_KEPT_OF_PATIENT = {
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "PatientSize", "PatientWeight",
    "PatientSpeciesDescription", "PatientSpeciesCodeSequence", "PatientBreedDescription", "PatientBreedCodeSequence",
    "BreedRegistrationSequence", "PatientSexNeutered", "PregnancyStatus",
}  # fmt: skip
# Elements that must be there, and may be empty.
_EMPTIED = ("PatientBirthDate", "AccessionNumber", "StudyID", "ReferringPhysicianName")
_REMOVED = {
    "InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "InstitutionCodeSequence", "StationName",
    "RequestAttributesSequence", "ReferencedPatientSequence", "OriginalAttributesSequence", "ImageComments", "AdmissionID",
    "IssuerOfAccessionNumberSequence", "RequestedProcedureID", "ScheduledProcedureStepID", "PerformedProcedureStepID",
    "ReferencedPerformedProcedureStepSequence", "ReferencedStudySequence", "ReferencedRequestSequence",
    "PersonIdentificationCodeSequence", "PersonAddress", "PersonTelephoneNumbers", "DeviceSerialNumber",
}  # fmt: skip
_NAMED = ["SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "PatientID"]


@dataclass(frozen=True)
class Sent:
    """Files, and the UIDs by which results refer to them. patients : identifiers as they were sent."""

    files: tuple[Path, ...]
    instances: frozenset[str]
    series: frozenset[str]
    studies: frozenset[str]
    patients: frozenset[str]


def files_to_send(task: Task, anonymous: bool) -> Sent:
    """An image's DICOM files. Raises ApplicationError, a clause, where it has none.

    anonymous : copies in the task's folder, whose UIDs are kept so that results refer to the image.
    """
    files = _files(task)
    if anonymous:
        folder = task.folder / "sent"
        folder.mkdir()
        files = [anonymised(path, folder / f"{number}.dcm") for number, path in enumerate(files, start=1)]
    headers = [_header(path) for path in files]
    uids = {keyword: frozenset(str(header.get(keyword, "")).strip() for header in headers) - {""} for keyword in _NAMED}
    return Sent(tuple(files), *(uids[keyword] for keyword in _NAMED))


def anonymised(source: Path, target: Path) -> Path:
    """A copy without the patient's name, identifiers and date of birth, any person's name, institutions and private tags.

    The patient is named by a digest of the study's UID. UIDs, dates, descriptions and pixels are as they were: text that is burnt
    into the picture stays there.
    """
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they quote values of the header
        dataset = pydicom.dcmread(source)
        study = str(dataset.get("StudyInstanceUID", ""))
        _clean(dataset)
        for keyword in _EMPTIED:
            setattr(dataset, keyword, "")
        name = f"casewise-{hashlib.sha256(study.encode()).hexdigest()[:16]}"
        dataset.PatientName, dataset.PatientID = name, name
        dataset.preamble = b"\0" * 128
        dataset.save_as(target, enforce_file_format=True)
    return target


def _files(task: Task) -> Sequence[Path]:
    """Those whose planes the image's voxels are; of loops and mosaics, which have none, the file or series that was read."""
    from casewise.formats.dicom.origin import origin

    image = task.image()
    if image.header.format != "DICOM":
        raise refused("takes DICOM images alone, and this image is none; give the files that came from the device")
    try:
        return list(dict.fromkeys(plane.file for plane in origin(image)))
    except CasewiseError:
        found = own_images(task)
    if len(found) != 1:
        raise refused("cannot be sent the image: a node would not know which one of its file is meant; give it alone")
    return found[0].files


def _clean(dataset: Any) -> None:
    from pydicom.datadict import keyword_for_tag

    for element in list(dataset):
        keyword = keyword_for_tag(element.tag)
        of_patient = element.tag.group == 0x0010 and keyword not in _KEPT_OF_PATIENT
        if element.tag.is_private or of_patient or keyword in _REMOVED or element.VR == "PN":
            del dataset[element.tag]
        elif element.VR == "SQ":
            _clean_all(element.value)


def _clean_all(items: Iterable[Any]) -> None:
    for item in items:
        for keyword in ("PatientID", "PatientBirthDate", "AccessionNumber"):
            if keyword in item:
                setattr(item, keyword, "")
        _clean(item)


def _header(path: Path) -> Any:
    import pydicom

    return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_NAMED, force=True)
