"""A received series as it was at one time: a folder of hard links, which cost no room, or of copies where there are no such links.

What is received later does not change it: an object of other content is a new file there, not the old one overwritten.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from casewise.files import replacing
from casewise.server.dicom.places import VERSIONS

_MAKING = ".making-"
_OLD_SECONDS = 3600.0
_NO_LINKS = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS)


def version(archive: Path, series_uid: str, number: int, files: Iterable[Path]) -> Path:
    """The folder of a series' version, made of ``files`` unless it is there. It is whole or not there. Raises OSError."""
    place = archive / VERSIONS / series_uid
    target = place / f"v{number}"
    if target.is_dir():
        return target
    place.mkdir(parents=True, exist_ok=True)
    _tidy(place)
    try:
        with replacing(target, prefix=_MAKING) as beside:
            beside.mkdir()
            for file in files:
                _link(file, beside / file.name)
    except OSError:
        if not target.is_dir():  # another worker was faster
            raise
    return target


def newest(archive: Path, series_uid: str) -> int:
    """The number of a series' newest version; 0 where it has none."""
    try:
        names = [path.name for path in (archive / VERSIONS / series_uid).iterdir()]
    except FileNotFoundError:
        return 0
    return max((int(name[1:]) for name in names if name.startswith("v") and name[1:].isdecimal()), default=0)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copy2(source, target)


def _tidy(place: Path) -> None:
    """Remove what a process that was killed left half made."""
    for left in place.glob(f"{_MAKING}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _OLD_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
