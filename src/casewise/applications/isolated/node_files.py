"""What a DICOM node is sent: the image's own files, or copies that do not name the patient."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from casewise.applications.isolated.own_files import own_images
from casewise.applications.isolated.task import Task
from casewise.applications.outcome import refused
from casewise.errors import CasewiseError
from casewise.formats.dicom.elements import text
from casewise.formats.dicom.nameless import meta_without_names, without_names
from casewise.formats.dicom.quiet import quiet
from casewise.formats.dicom.rewritten import rewritten
from casewise.formats.dicom.stored import stored

# Of where and by which order the image was made.
_OF_PLACE = {
    "DeviceSerialNumber", "InstitutionAddress", "InstitutionCodeSequence", "InstitutionName", "InstitutionalDepartmentName",
    "OriginalAttributesSequence", "ReferencedPerformedProcedureStepSequence", "ReferencedRequestSequence",
    "ReferencedStudySequence", "StationName",
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
    """A copy without the patient's name, identifiers and date of birth, any person's name, institutions and private tags, as
    :func:`casewise.formats.dicom.nameless.without_names` says.

    The patient is named by a digest of the study's UID. UIDs, dates, descriptions and pixels are as they were: text that is burnt
    into the picture stays there.
    """
    with quiet(), stored(source) as file, target.open("wb") as copy:
        copy.writelines(rewritten(file, _without_patient))
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


def _without_patient(header: Any, meta: Any) -> None:
    study = hashlib.sha256(text(header, "StudyInstanceUID").encode()).hexdigest()
    without_names(header, f"casewise-{study[:16]}", descriptions=True)
    meta_without_names(meta)
    _without_place(header)


def _without_place(dataset: Any) -> None:
    for element in list(dataset):
        if element.keyword in _OF_PLACE:
            del dataset[element.tag]
        elif element.VR == "SQ":
            for item in element.value:
                _without_place(item)


def _header(path: Path) -> Any:
    import pydicom

    return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_NAMED, force=True)
