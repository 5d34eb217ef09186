"""Temporary folders of this process, in one that others remove once the process was killed: they hold patients' images."""

from __future__ import annotations

import atexit
import tempfile
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

from casewise.applications.isolated.scratch import Scratch, sweep

_lock = threading.Lock()
_made: list[Scratch] = []


def temporary_folder() -> TemporaryDirectory[str]:
    """A folder that is removed with the block, or with this process."""
    return TemporaryDirectory(dir=_own())


def remove_left() -> None:
    """Remove what processes that were killed left."""
    sweep(Path(tempfile.gettempdir()))


def _own() -> Path:
    with _lock:
        # Systems remove what lies unused among temporary files for days.
        if not _made or not _made[-1].path.is_dir():
            _made.append(Scratch())
            atexit.register(_made[-1].remove)
        return _made[-1].path
