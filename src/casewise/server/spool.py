"""Uploads on disk until they are in the archive: ``ARCHIVE/server/uploads/<id>/``, with the folders that they were sent in.

A name that comes from a client is taken apart and put together again from parts that name no other place; it never becomes a path
as it is.
"""

from __future__ import annotations

import re
import secrets
import shutil
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from casewise.errors import UsageError
from casewise.names import nfc

_FOLDER = Path("server") / "uploads"
_ID = re.compile(r"[0-9a-f]{32}")
_MOST_FILES = 20_000
_DEEPEST = 16
_LONGEST = 200  # bytes of one part of a name
_OLD_SECONDS = 24 * 3600.0
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(eq=False)
class Spool:
    """The files of one upload. folder : that they lie in. names : as they were sent, in order. size : bytes of all."""

    identity: str
    folder: Path
    names: list[str] = field(default_factory=list)
    size: int = 0

    @classmethod
    def new(cls, archive: Path) -> Spool:
        identity = secrets.token_hex(16)
        folder = archive / _FOLDER / identity
        folder.mkdir(parents=True)
        return cls(identity, folder)

    @classmethod
    def found(cls, archive: Path, identity: str) -> Spool:
        """One that was made earlier. Raises UsageError where it is gone."""
        folder = archive / _FOLDER / identity
        if not _ID.fullmatch(identity) or not folder.is_dir():
            raise UsageError("The files of this upload are not there any more; upload them again.")
        return cls(identity, folder)

    def open(self, name: str) -> IO[bytes]:
        """A new file, called as near to ``name`` as is safe, below the spool's folder."""
        if len(self.names) >= _MOST_FILES:
            raise UsageError(f"An upload has at most {_MOST_FILES:,} files; import more with `casewise import`.")
        self.names.append(name)
        *folders, last = _parts(name) or [f"file-{len(self.names)}"]
        place = self.folder.joinpath(*folders)
        try:
            place.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):  # a file of the same upload has the folder's name
            place = self.folder / f"folder-{len(self.names)}"
            place.mkdir()
        target = place / last
        if target.exists():
            target = place / f"{len(self.names)}-{last}"
        return target.open("xb")

    def placed(self) -> tuple[str, ...]:
        """The names of its files as they lie in its folder, with the folders that they were sent in."""
        return tuple(path.relative_to(self.folder).as_posix() for path in sorted(self.folder.rglob("*")) if path.is_file())

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def as_sent(self, text: str) -> str:
        """A sentence with the names that the sender knows, instead of places on this machine."""
        return text.replace(f"{self.folder}/", "").replace(str(self.folder), "the upload")


def remove_old(archive: Path, kept: Collection[str]) -> None:
    """Remove what uploads that broke off left behind, a day after; ``kept``: of jobs that wait."""
    place = archive / _FOLDER
    for folder in place.iterdir() if place.is_dir() else ():
        if _ID.fullmatch(folder.name) and folder.name not in kept and _is_old(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _is_old(folder: Path) -> bool:
    try:
        return time.time() - folder.stat().st_mtime > _OLD_SECONDS
    except FileNotFoundError:  # taken in just now
        return False


def _parts(name: str) -> list[str]:
    """``a/b.dcm`` → ``["a", "b.dcm"]``; nothing that leads elsewhere is left."""
    found = []
    for part in nfc(name).encode("utf-8", "replace").decode().replace("\\", "/").split("/"):
        part = _CONTROL.sub("_", part).strip().lstrip(".").replace(":", "_")
        if part:
            found.append(_shortened(part))
    return found[-_DEEPEST:]


def _shortened(part: str) -> str:
    """The beginning and the suffixes of a name that is too long for a file system."""
    encoded = part.encode()
    if len(encoded) <= _LONGEST:
        return part
    return encoded[: _LONGEST - 40].decode(errors="ignore") + encoded[-30:].decode(errors="ignore")
