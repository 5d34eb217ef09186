"""Files inside an archive: ``files/<aa>/<key><suffix>``, written beside and renamed, so that one is whole or not there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from casewise.archive.failures import disk_sentence
from casewise.archive.suffixes import suffix
from casewise.errors import ArchiveError
from casewise.files import replacing

_FOLDER = "files"


def place(key: str, ending: str) -> str:
    """Where a content of this key lies, relative to the archive."""
    return f"{_FOLDER}/{key[:2]}/{key}{ending}"


def located(folder: Path, path: str) -> Path:
    """The file that a catalogue's path names: a relative one lies in the archive, and never leads out of it."""
    given = Path(path)
    if given.is_absolute():
        return given
    if ".." in given.parts:
        msg = "The archive's catalogue names a file outside its folder; restore the archive from a copy."
        raise ArchiveError(msg)
    return folder / given


def take(folder: Path, key: str, files: Sequence[Path], single: bool) -> str:
    """Copy a content's files into the archive, unless they are there; returns their place.

    A single file takes the key as its name; several keep their names in a folder of that name, as their headers may refer to them.
    """
    target = place(key, _ending(files[0]) if single else "")
    if not (folder / target).exists():
        try:
            (folder / target).parent.mkdir(parents=True, exist_ok=True)
            _copy(folder / target, files, single)
        except OSError as error:
            raise ArchiveError(disk_sentence(error)) from error
    return target


def _copy(target: Path, files: Sequence[Path], single: bool) -> None:
    try:
        with replacing(target, prefix=".writing-") as beside:
            if single:
                _copy_file(files[0], beside)
            else:
                beside.mkdir()
                for file in files:
                    _copy_file(file, beside / file.name)
    except OSError:
        # Another process was faster with the same content (a folder cannot be renamed onto a full one).
        if not target.exists():
            raise


def _copy_file(source: Path, target: Path) -> None:
    with source.open("rb") as read, target.open("xb") as written:
        shutil.copyfileobj(read, written, 1 << 20)
        written.flush()
        os.fsync(written.fileno())


def _ending(path: Path) -> str:
    ending = suffix(path.name)
    # A suffix is part of a foreign name: what is odd about it stays outside.
    return ending if len(ending) <= 8 and ending[1:].replace(".", "").isalnum() else ""
