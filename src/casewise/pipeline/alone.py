"""One call at a time analyses into a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from casewise.errors import UsageError

_LOCK = ".casewise-analysis.lock"


@contextmanager
def alone(folder: Path, busy: str) -> Iterator[None]:
    """Have ``folder`` until the block ends. Raises UsageError where another call has it (``busy``), or nothing can be written."""
    lock = FileLock(folder / _LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UsageError(busy) from None
    except OSError as error:
        raise UsageError(
            f"No result can be written into {folder} ({error.strerror}); give write permission, or choose another folder."
        ) from error
    try:
        yield
    finally:
        (folder / _LOCK).unlink(missing_ok=True)
        lock.release()
