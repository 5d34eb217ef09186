"""The in folder of the container contract: an image's files, and ``task.json`` beside them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from casewise.applications.isolated.task import Task
from casewise.applications.outcome import ApplicationError

if TYPE_CHECKING:
    from casewise.formats import Found

# A header's voxels lie in a second file of the same stem.
_VOXELS = {".hdr": (".img",), ".mhd": (".raw", ".zraw"), ".nhdr": (".raw", ".raw.gz")}


def fill(folder: Path, task: Task, settings: Mapping[str, object]) -> None:
    """Copies, not links: what a program does to them must not reach the originals.

    DICOM instances are named ``seriesUID#instanceUID.dcm``, other files keep their name. ``task.json`` holds the settings under
    ``process.settings``, and under ``info`` what is known: the category and which image of the file is meant.
    """
    folder.mkdir(parents=True)
    for source, name in _files(task):
        shutil.copyfile(source, folder / name)
    info = {"category": task.category, "member": task.member, "modality": task.header.get("modality")}
    document = {"id": task.ident, "info": info, "process": {"settings": dict(settings)}}
    (folder / "task.json").write_text(json.dumps(document, indent=1, default=str), encoding="utf-8")


def _files(task: Task) -> list[tuple[Path, str]]:
    from casewise.formats import Found, Kind, scan

    found = [item for item in scan(task.source, recursive=False) if isinstance(item, Found)]
    if task.source.is_dir():
        found = _of_folder(found, task.member)
    if not found:
        return [(task.source, task.source.name)]
    chosen = found[0]
    if chosen.kind is Kind.DICOM:
        return [(path, _dicom_name(path)) for path in chosen.files]
    beside = [task.source.with_suffix(suffix) for suffix in _VOXELS.get(task.source.suffix.lower(), ())]
    return [(path, path.name) for path in (task.source, *beside) if path.is_file()]


def _of_folder(found: Sequence[Found], member: str | None) -> list[Found]:
    """The one image of a folder that was read. A folder of one needs no member; of several it says which.

    Raises ApplicationError, a clause, where that is not certain: a program must not be given another image's files.
    """
    named = [item for item in found if item.member == member] if len(found) > 1 else list(found)
    if len(named) > 1 or (found and not named):
        refusal = ApplicationError(
            "cannot be given the image: its files are not to be told from others of its folder; give it alone"
        )
        refusal.sound = True
        raise refusal
    return named


def _dicom_name(path: Path) -> str:
    import pydicom

    tags = ["SeriesInstanceUID", "SOPInstanceUID"]
    header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags, force=True)
    series, instance = ("".join(c for c in str(header.get(tag, "")) if c in "0123456789.") for tag in tags)
    return f"{series or 'unknown'}#{instance or path.stem}.dcm"
