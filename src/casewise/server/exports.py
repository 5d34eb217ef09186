"""Exports on disk: ``ARCHIVE/server/exports/<job>.zip``; of each set the newest is kept."""

from __future__ import annotations

import re
from pathlib import Path

from casewise.files import forget_parts
from casewise.server.jobs import Jobs
from casewise.server.problems import NotThereError

_FOLDER = Path("server") / "exports"
_NAME = re.compile(r"[0-9]+\.zip")
_OLD_SECONDS = 24 * 3600.0


def place(archive: Path, job: int) -> Path:
    return archive / _FOLDER / f"{job}.zip"


def finished(archive: Path, jobs: Jobs, number: int, job: int | None = None) -> Path:
    """The file of a finished export of the set ``number``, the newest or that of ``job``. Raises NotThereError without one."""
    done = [
        one for one in jobs.list(["done"], ["export"], limit=1000) if one.payload.get("set") == number and job in (None, one.id)
    ]
    path = next((path for one in done if (path := place(archive, one.id)).is_file()), None)
    if path is None:
        raise NotThereError("This set has no export; order one first, and wait until its job is done.")
    return path


def remove_others(archive: Path, jobs: Jobs, number: int, job: int) -> None:
    """Remove earlier exports of a set, and those of which nobody knows any more."""
    for path in (archive / _FOLDER).glob("*.zip"):
        other = int(path.stem) if _NAME.fullmatch(path.name) else 0
        known = jobs.get(other)
        if other != job and (known is None or known.payload.get("set") == number):
            path.unlink(missing_ok=True)


def remove_halves(archive: Path) -> None:
    """Remove what killed workers left half-written, a day after."""
    forget_parts(archive / _FOLDER, _OLD_SECONDS)
