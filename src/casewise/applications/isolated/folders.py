"""The in folder of the container contract: an image's files, and ``task.json`` beside them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from casewise.applications.isolated.own_files import own_images
from casewise.applications.isolated.task import Task

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
    from casewise.formats import Kind

    found = own_images(task)
    if not found:
        return [(task.source, task.source.name)]
    chosen = found[0]
    if chosen.kind is Kind.DICOM:
        return [(path, _dicom_name(path)) for path in chosen.files]
    beside = [task.source.with_suffix(suffix) for suffix in _VOXELS.get(task.source.suffix.lower(), ())]
    return [(path, path.name) for path in (task.source, *beside) if path.is_file()]


def _dicom_name(path: Path) -> str:
    import pydicom

    tags = ["SeriesInstanceUID", "SOPInstanceUID"]
    header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags, force=True)
    series, instance = ("".join(c for c in str(header.get(tag, "")) if c in "0123456789.") for tag in tags)
    return f"{series or 'unknown'}#{instance or path.stem}.dcm"
