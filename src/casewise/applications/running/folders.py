"""The folders of the container contract: an image's files in, ``task.json`` beside them, and what comes out."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from casewise.applications.running.outcome import ApplicationError
from casewise.applications.running.worker import Task

# A header's voxels lie in a second file of the same stem.
_VOXELS = {".hdr": (".img",), ".mhd": (".raw", ".zraw"), ".nhdr": (".raw", ".raw.gz")}
_MOST_FILES = 100_000


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


def written(folder: Path) -> tuple[list[Path], int]:
    """The files that a program left in its folder, and how many other things (links, pipes) it left, which are not touched."""
    files, others = [], 0
    for here, folders, names in os.walk(folder, followlinks=False):
        others += sum((Path(here) / name).is_symlink() for name in folders)
        for name in names:
            path = Path(here) / name
            if stat.S_ISREG(path.lstat().st_mode):
                files.append(path)
            else:
                others += 1
            if len(files) > _MOST_FILES:
                raise ApplicationError(f"wrote more than {_MOST_FILES:,} files")
    return sorted(files), others


def keep(files: list[Path], origin: Path, folder: Path) -> dict[Path, Path]:
    """Move files of ``origin`` to the same places below ``folder``; (old, new) of each."""
    kept = {}
    for path in files:
        target = folder / path.relative_to(origin)
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.part")
        try:
            path.rename(beside)
        except OSError:  # the folders lie on two file systems
            _copy(path, beside)
        with suppress(OSError):
            beside.chmod(0o644)
        beside.replace(target)
        kept[path] = target
    return kept


def _copy(source: Path, target: Path) -> None:
    handle = os.open(source, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(handle, "rb") as reader, target.open("wb") as writer:
        shutil.copyfileobj(reader, writer, 1024 * 1024)


def _files(task: Task) -> list[tuple[Path, str]]:
    from casewise.formats import Found, Kind, scan

    found = [item for item in scan(task.source, recursive=False) if isinstance(item, Found)]
    if task.source.is_dir():
        # A folder of one series needs no member; one of several was read by the series' name.
        found = [item for item in found if item.kind is Kind.DICOM and task.member in (None, item.member)] or found
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
