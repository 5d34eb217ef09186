"""The DICOM objects that were made of an image's newest result, in that result's folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from casewise.archive import Archive
from casewise.errors import CasewiseError
from casewise.formats.dicom.file import dataset_of
from casewise.server.recorded import job_of, results_folder

UID = re.compile(r"[0-9.]{1,64}")
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
_CLASSES = (
    SEGMENTATION,
    "1.2.840.10008.5.1.4.1.1.66.7",  # label map segmentation
    "1.2.840.10008.5.1.4.1.1.88.",  # structured reports
    "1.2.840.10008.5.1.4.1.1.7",  # secondary capture
    "1.2.840.10008.5.1.4.1.1.30",  # parametric map
)


@dataclass(frozen=True)
class Made:
    """An object in its file. placed : whether its frames lie in the patient."""

    sop_uid: str
    sop_class: str
    series_uid: str
    study_uid: str
    path: Path
    placed: bool


def objects_of(archive: Archive, key: str) -> list[Made]:
    """What was made of the newest result of an image of the archive.

    A segmentation of a radiograph is left out: its frames lie nowhere in the patient, and OHIF's page goes blank over one.
    """
    newest = archive.newest_result(key)
    job = None if newest is None else job_of(newest[1])
    if job is None:
        return []
    folder = results_folder(archive.folder, key, job)
    try:
        files = sorted([*folder.glob("*.dcm"), *folder.glob("*/*.dcm")])
        found = [_read(file, (stat := file.stat()).st_mtime_ns, stat.st_size) for file in files if file.is_file()]
    except OSError:
        return []
    made = {one.sop_uid: one for one in found if one is not None and one.sop_class.startswith(_CLASSES)}
    return [one for one in made.values() if one.placed or one.sop_class != SEGMENTATION]


@lru_cache(4096)
def _read(path: Path, changed: int, size: int) -> Made | None:
    """What a file's header says, read once while it does not change; None for what is no DICOM object that can be named."""
    uids = uids_of(path)
    return None if uids is None else Made(path=path, placed=_placed(path), **uids)


def uids_of(path: Path) -> dict[str, str] | None:
    """sop_uid, sop_class, series_uid and study_uid of a DICOM file; None where it lacks one, or is none that can be read."""
    try:
        dataset = dataset_of(path, pixels=False)
    except (CasewiseError, OSError, ValueError, KeyError, AttributeError):
        return None
