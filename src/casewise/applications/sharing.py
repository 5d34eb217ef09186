"""What several applications need of one image is computed by the first that asks for it, and read by the others.

Each application has a process of its own. Those whose declaration says ``shared`` are given a folder for each image that they all
may write in, which is removed with the image; outside of such a run everything is computed where it is asked for.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TypeVar

Shared = TypeVar("Shared")
_folder: ContextVar[Path | None] = ContextVar("shared_folder", default=None)


@contextmanager
def sharing(folder: Path | None) -> Iterator[None]:
    """Within it :func:`shared` keeps what it makes below ``folder``; None: nowhere."""
    token = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(token)


def shared(
    name: str,
    make: Callable[[], Shared],
    write: Callable[[Path, Shared], None],
    read: Callable[[Path], Shared],
) -> Shared:
    """What ``make`` gives for the image at hand, made once for all applications that ask for ``name``.

    The others wait meanwhile; where the process that makes it is stopped, the next one makes it. What ``make`` raises is not kept.
    """
    folder = _folder.get()
    if folder is None:
        return make()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the system gives it up when this process ends, however it ends
        if path.exists():
            return read(path)
        made = make()
        beside = folder / f"{name}.part"
        write(beside, made)
        beside.replace(path)
        return made
