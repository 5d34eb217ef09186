"""Landlock: the kernel holds a process, and whatever it starts, to folders of its own (Linux 5.13; signals: Linux 6.12)."""

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
_ABSTRACT_SOCKETS, _SIGNALS = 1 << 0, 1 << 1
_SCOPES_FROM = 6  # the version from which on a domain can be forbidden to signal and to connect to what is outside of it
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 a place that is allowed, not one that is written to
# Devices that programs write to, and a process's own entries. A disk or a terminal is not among them.
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "nvidia*", "kfd", "dri", "dxg")
_OWN_ENTRIES = Path("/proc/self")


def version() -> int:
    """Landlock's version in this kernel; 0 where there is none."""
    if sys.platform != "linux":
        return 0
    return max(0, int(ctypes.CDLL(None, use_errno=True).syscall(_CREATE, None, ctypes.c_size_t(0), _ASK_VERSION)))


def holds_writes() -> bool:
    """Whether this kernel can hold a process to its folders."""
    return version() > 0


def holds_signals() -> bool:
    """Whether this kernel can keep a process from signalling what it did not start."""
    return version() >= _SCOPES_FROM


def confine(folders: Sequence[Path], devices: bool = True) -> bool:
    """From here on this thread and whatever it starts can write, make and remove files only below ``folders``.

    Where the kernel can (``holds_signals``), it can signal only what was confined with it, and connect to no abstract socket of
    others. Reading stays as it is. devices : whether it may write to /dev/null, a GPU, shared memory and its own entries in /proc.
    Cannot be undone. False where the kernel does not know how; then nothing has changed.
    """
    known = version()
    if known <= 0:
        return False
    everything = _WRITE_FILE | _REMOVE_AND_MAKE | (_REFER if known >= 2 else 0) | (_TRUNCATE if known >= 3 else 0)
    content = everything & (_WRITE_FILE | _TRUNCATE)
    scopes = (_ABSTRACT_SOCKETS | _SIGNALS) if known >= _SCOPES_FROM else 0
    attributes = struct.pack("=QQQ", everything, 0, scopes) if scopes else struct.pack("=Q", everything)
    libc = ctypes.CDLL(None, use_errno=True)
    ruleset = libc.syscall(_CREATE, ctypes.create_string_buffer(attributes, len(attributes)), ctypes.c_size_t(len(attributes)), 0)
    if ruleset < 0:
        return False
    try:
        for folder in folders:
            _allow(libc, ruleset, folder, everything)
        if devices:
            for path in (device for name in _DEVICES for device in Path("/dev").glob(name)):
                _allow(libc, ruleset, path, content)
            if _SHARED_MEMORY.is_dir():
                _allow(libc, ruleset, _SHARED_MEMORY, everything)
            if _OWN_ENTRIES.is_dir():
                _allow(libc, ruleset, _OWN_ENTRIES, content)
        return bool(libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0 and libc.syscall(_RESTRICT, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, access: int) -> None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = ctypes.create_string_buffer(struct.pack("=Qi", access, place), 12)
        if libc.syscall(_ADD, ruleset, _BENEATH, rule, 0) != 0:
            raise OSError(ctypes.get_errno(), "the kernel refused the rule", str(path))
    finally:
        os.close(place)
