"""One call at a time for each port at which a DICOM node's results arrive, over all processes of this user."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from filelock import FileLock, Timeout

from casewise.applications.declared import Declared
from casewise.applications.node_run import NodeRun
from casewise.applications.outcome import ApplicationError, refused

_LOOK = 0.2  # seconds between two looks at whether all is to stop


@contextmanager
def turn(declared: Declared, stopping: Event) -> Iterator[None]:
    """Within it, no other call has the application's port; at once for one that is no DICOM node.

    Waiting for the turn is not counted against the application's time. Raises ApplicationError where all is to stop.
    """
    if not isinstance(declared.run, NodeRun):
        yield
        return
    lock = FileLock(_folder() / f"{declared.run.reply_port}.lock", mode=0o600)
    while True:
        if stopping.is_set():
            raise ApplicationError("was stopped, because casewise was")
        try:
            lock.acquire(timeout=_LOOK)
            break
        except Timeout:
            continue
    try:
        yield
    finally:
        lock.release()


def _folder() -> Path:
    """This user's own, into which nobody else can put a link."""
    path = Path(tempfile.gettempdir()) / f"casewise-ports-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    about = path.lstat()
    if path.is_symlink() or about.st_uid != os.getuid() or about.st_mode & 0o022:
        raise refused(f"cannot wait for its port: {path} belongs to somebody else; remove it")
    return path
