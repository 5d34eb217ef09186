"""Linux namespaces: a process to which only what it started is visible, on file systems that it cannot change outside its folders.

Root needs nothing for them; other users need unprivileged user namespaces, which some systems forbid. Then :func:`possible` is
False and the other means (:mod:`casewise.confinement`) have to do.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_NEW_MOUNTS, _NEW_IPC, _NEW_USER, _NEW_PIDS, _NEW_NETWORK = 0x00020000, 0x08000000, 0x10000000, 0x20000000, 0x40000000
_BIND, _RECURSIVE, _SLAVE, _NO_SUID, _NO_DEVICES, _NO_EXEC = 1 << 12, 1 << 14, 1 << 19, 2, 4, 8
_MOUNT_SET_ATTRIBUTES, _HERE, _ALL_BELOW, _READ_ONLY = 442, -100, 0x8000, 1
_SYSTEM_ADMIN, _READ_ANY = 21, 2  # capabilities
_DROP_BOUNDING = 24
_CAPABILITIES_3 = 0x20080522
# Who can reach these may have others run programs, outside of every limit.
_DOORS = (
    "/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/dbus/system_bus_socket",
    "/run/systemd/private",
)


def possible() -> bool:
    """Whether this process may make namespaces and mount a /proc of its own; tried in a child, so that nothing changes here."""
    if sys.platform != "linux":
        return False
    child = os.fork()
    if child == 0:
        code = 1
        with suppress(BaseException):
            enter()
            inner = os.fork()
            if inner == 0:
                with suppress(BaseException):
                    own_file_systems((), 1)
                    os._exit(0)
                os._exit(1)
            code = os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1])
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def enter(network: bool = True) -> None:
    """New namespaces of IPC for this process, of process ids for its children; no network where ``network`` is False.

    Raises OSError where that is not allowed.
    """
    kinds = _NEW_IPC | _NEW_PIDS | (0 if network else _NEW_NETWORK)
    user, group = os.geteuid(), os.getegid()
    is_privileged = _has(_SYSTEM_ADMIN)
    libc = _libc()
    if libc.unshare(kinds if is_privileged else kinds | _NEW_USER) != 0:
        _raise("namespaces cannot be made")
    if not is_privileged:
        own = Path("/proc/self")
        (own / "setgroups").write_text("deny", encoding="ascii")
        (own / "uid_map").write_text(f"{user} {user} 1", encoding="ascii")
        (own / "gid_map").write_text(f"{group} {group} 1", encoding="ascii")


def own_file_systems(writable: Sequence[Path], shared_memory_mb: float) -> None:
    """In the first process of a namespace: a /proc of its own, a bounded /dev/shm, everything read-only but ``writable``.

    Raises OSError where that is not allowed. Kernels before 5.12 cannot make everything read-only; there it is left.
    """
    if _libc().unshare(_NEW_MOUNTS) != 0:
        _raise("a namespace of mounts cannot be made")
    _mount(None, "/", None, _RECURSIVE | _SLAVE)
    _mount("proc", "/proc", "proc", _NO_SUID | _NO_DEVICES | _NO_EXEC)
    _set_read_only(Path("/"), True)
    for folder in writable:
        _mount(str(folder), str(folder), None, _BIND)
        _set_read_only(folder, False)
    memory = Path("/dev/shm")  # noqa: S108 made anew here
    if memory.is_dir():
        with suppress(OSError):
            _mount("tmpfs", str(memory), "tmpfs", _NO_SUID | _NO_DEVICES, f"size={max(1, int(shared_memory_mb))}m")
    for door in (*_DOORS, f"/run/user/{os.geteuid()}"):
        path = Path(door)
        with suppress(OSError):
            if path.is_dir():
                _mount("tmpfs", door, "tmpfs", _NO_SUID | _NO_DEVICES | _NO_EXEC, "size=64k")
            elif path.exists():
                _mount("/dev/null", door, None, _BIND)


def drop_capabilities() -> None:
    """Root's powers are given up, for this process and whatever it starts, but for reading what other users own."""
    if sys.platform != "linux":
        return
    libc = _libc()
    keep = 1 << _READ_ANY if _has(_READ_ANY) and is_first_user_namespace() else 0
    for capability in range(64):
        if not keep >> capability & 1:
            libc.prctl(_DROP_BOUNDING, capability, 0, 0, 0)  # fails for numbers that there are not, and without the right to
    header = struct.pack("=Ii", _CAPABILITIES_3, 0)
    low = keep & 0xFFFFFFFF
    libc.capset(header, struct.pack("=6I", low, low, 0, 0, 0, 0))


def is_first_user_namespace() -> bool:
    """Whether user ids are those of the whole system."""
    with suppress(OSError):
        return Path("/proc/self/uid_map").read_text(encoding="ascii").split() == ["0", "0", str(2**32 - 1)]
    return False


def _set_read_only(folder: Path, read_only: bool) -> None:
    flags = (_READ_ONLY, 0) if read_only else (0, _READ_ONLY)
    attributes = struct.pack("=QQQQ", *flags, 0, 0)
    path = os.fsencode(folder)
    done = _libc().syscall(
        ctypes.c_long(_MOUNT_SET_ATTRIBUTES), _HERE, path, _ALL_BELOW if read_only else 0, attributes, ctypes.c_size_t(32)
    )
    if done != 0 and not read_only:
        _raise(f"{folder} cannot be made writable")


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind)]
    if _libc().mount(*words, ctypes.c_ulong(flags), None if options is None else options.encode()) != 0:
        _raise(f"{target} cannot be mounted")


def _has(capability: int) -> bool:
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> capability & 1)
    return False


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _raise(what: str) -> None:
    number = ctypes.get_errno()
    raise OSError(number, f"{what}: {os.strerror(number)}")
