"""A temporary folder of this process; those that killed processes left behind are removed, for they hold patients' images."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

_PREFIX, _LOCK = "casewise-run-", "lock"
_YOUNG = 60.0  # seconds in which a folder may not have its lock yet


class Scratch:
    """``path`` exists until ``remove``. A lock that ends with the process tells others that it is in use."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock = FileLock(self.path / _LOCK, mode=0o600)
        self._lock.acquire()
        sweep(self.path.parent)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError):
            self._lock.release()


def sweep(folder: Path) -> None:
    """Remove the folders of this user that no process holds any more."""
    for path in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError, Timeout):
            about = path.lstat()
            if path.is_symlink() or about.st_uid != os.getuid() or time.time() - about.st_mtime < _YOUNG:
                continue
            if (path / _LOCK).is_file() and not (path / _LOCK).is_symlink():
                with FileLock(path / _LOCK, timeout=0):
                    shutil.rmtree(path, ignore_errors=True)
