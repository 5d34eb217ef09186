"""Half-written files in an archive: distinguished from those of a running writer by a lock, and removed at the next opening."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from casewise.files import locked

_LOCK = ".writers"
_MARKS = (".writing-", ".set-")
# Where writers put what they write, beside the archive's own folder: each with one level of folders below it.
_PLACES = ("files", "sets", "subsets", "models")


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Hold the archive's lock of writers, shared: what is half-written while it is held is nobody's leftover.

    The system lets go of it however the process ends. Where there are no locks, the block runs without.
    """
    handle = locked(folder / _LOCK, shared=True)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


def clean(folder: Path) -> int:
    """Remove what writers that have died left half-written; returns how many there were. Nothing while anybody writes."""
    if not os.access(folder, os.W_OK):
        return 0
    found = [path for place in _folders(folder) for path in _marked(place)]
    if not found:
        return 0
    handle = locked(folder / _LOCK, shared=False)
    if handle is None:
        return 0
    try:
        # Looked for again: what was found before may be whole by now, and have a name of its own.
        return sum(_removed(path) for place in _folders(folder) for path in _marked(place))
    finally:
        os.close(handle)


def _folders(folder: Path) -> Iterator[Path]:
    """The archive's folder and those in which its files are written; no link is followed."""
    yield folder
    for name in _PLACES:
        place = folder / name
        if place.is_symlink() or not place.is_dir():
            continue
        yield place
        with os.scandir(place) as listing:
            yield from [Path(item.path) for item in listing if item.is_dir(follow_symlinks=False)]


def _marked(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as listing:
            return [Path(item.path) for item in listing if item.name.startswith(_MARKS)]
    except OSError:
        return []


def _removed(path: Path) -> bool:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError:
        return False
    return True
