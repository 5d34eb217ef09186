"""Lets a process write in its own folder alone, where the kernel can see to it (Linux 5.13 or newer, by Landlock)."""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

# From linux/landlock.h; the numbers of these calls are the same on every architecture.
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_ASK_VERSION = 1
_BENEATH = 1
_NO_NEW_PRIVILEGES = 38
_WRITE_FILE, _TRUNCATE, _REFER = 1 << 1, 1 << 14, 1 << 13
_REMOVE_AND_MAKE = sum(1 << bit for bit in range(4, 13))
# Devices (null, a GPU, shared memory) and a process's own entries stay as the system's permissions have them.
_LEFT = (Path("/dev"), Path("/proc"))
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 a place that is allowed, not one that is written to


def available() -> bool:
    """Whether this kernel can hold a process to its folder."""
    return _version() > 0


def confine(folders: Sequence[Path]) -> bool:
    """From here on this thread and whatever it starts can write, make and remove files only below ``folders``.

    Reading stays as it is. Cannot be undone. False where the kernel does not know how; then nothing has changed.
    """
    version = _version()
    if version <= 0:
        return False
    everything = _WRITE_FILE | _REMOVE_AND_MAKE | (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    content = everything & (_WRITE_FILE | _TRUNCATE)
    libc = ctypes.CDLL(None, use_errno=True)
    ruleset = libc.syscall(_CREATE, ctypes.create_string_buffer(struct.pack("=Q", everything), 8), ctypes.c_size_t(8), 0)
    if ruleset < 0:
        return False
    try:
        allowed = [(folder, everything) for folder in (*folders, _SHARED_MEMORY)] + [(folder, content) for folder in _LEFT]
        for folder, access in allowed:
            if folder.is_dir():
                _allow(libc, ruleset, folder, access)
        return libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0 and libc.syscall(_RESTRICT, ruleset, 0) == 0
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, folder: Path, access: int) -> None:
    place = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = ctypes.create_string_buffer(struct.pack("=Qi", access, place), 12)
        if libc.syscall(_ADD, ruleset, _BENEATH, rule, 0) != 0:
            raise OSError(ctypes.get_errno(), "the kernel refused the rule", str(folder))
    finally:
        os.close(place)


def _version() -> int:
    if sys.platform != "linux":
        return 0
    return int(ctypes.CDLL(None, use_errno=True).syscall(_CREATE, None, ctypes.c_size_t(0), _ASK_VERSION))
