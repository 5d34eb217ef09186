"""The DICOM objects that were made of an image's newest result, in that result's folder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from casewise.archive import Archive
from casewise.errors import CasewiseError
from casewise.exchange.incoming import identity_at
from casewise.exchange.part10 import SYNTAX, FileMeta
from casewise.formats.dicom.file import dataset_of
from casewise.formats.guard import BoundedFile
from casewise.pipeline.recorded import job_of, results_folder

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
    """An object in its file. placed : False for a segmentation whose frames lie nowhere in the patient."""

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
    return [one for one in made.values() if one.placed]


@lru_cache(4096)
def _read(path: Path, changed: int, size: int) -> Made | None:
    """What a file's header says, read once while it does not change; None for what is no DICOM object that can be named."""
    uids = uids_of(path)
    if uids is None:
        return None
    return Made(path=path, placed=uids["sop_class"] != SEGMENTATION or _placed(path), **uids)


def uids_of(path: Path) -> dict[str, str] | None:
    """sop_uid, sop_class, series_uid and study_uid of a DICOM file; None where it has gone, lacks one, or is none."""
    try:
        with BoundedFile(path) as file:
            found = identity_at(file, FileMeta.read(file).text(SYNTAX))
    except (CasewiseError, OSError):
        return None
    return {"sop_uid": found.sop_uid, "sop_class": found.sop_class, "series_uid": found.series_uid, "study_uid": found.study_uid}


def _placed(path: Path) -> bool:
    """Whether the frames of a segmentation lie in the patient: whether they, or all together, have an orientation there."""
    try:
        dataset = dataset_of(path, pixels=False)
        groups = (dataset.get(f"{kind}FunctionalGroupsSequence") or () for kind in ("Shared", "PerFrame"))
        return any("PlaneOrientationSequence" in group for kind in groups for group in list(kind)[:1])
    except Exception:  # whatever a damaged header makes pydicom raise
        return False
