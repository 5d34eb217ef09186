"""A temporary folder of this process; those that killed processes left behind are removed, for they hold patients' images."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

_PREFIX, _LOCK = "casewise-run-", "lock"
_YOUNG = 60.0  # seconds in which a folder may not have its lock yet


class Scratch:
    """``path`` exists until ``remove``. A lock that ends with the process tells others that it is in use."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock = os.open(self.path / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        sweep(self.path.parent)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError):
            os.close(self._lock)


def sweep(folder: Path) -> None:
    """Remove the folders of this user that no process holds any more."""
    for path in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            about = path.lstat()
            if path.is_symlink() or about.st_uid != os.getuid() or time.time() - about.st_mtime < _YOUNG:
                continue
            handle = os.open(path / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(handle)
