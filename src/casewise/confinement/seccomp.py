"""seccomp: system calls that a confined process may not make, or of which a watcher decides (Linux 5.5 for the latter).

The filter is a small BPF program over a call's number and its arguments. It is inherited by all that the process starts, and cannot
be taken away again.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import platform
import struct
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

_NO_NEW_PRIVILEGES = 38
_SET_FILTER, _GIVE_LISTENER = 1, 1 << 3
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERROR, _ASK = 0x7FFF0000, 0x00050000, 0x7FC00000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_RECEIVE, _SEND = 0xC0502100, 0xC0182101  # of 64-bit machines
_CONTINUE = 1
_NEW_USER = 0x10000000
_X32 = 0x40000000

# Numbers of the calls on (x86_64, aarch64); None where a machine has not the call.
_CALLS: dict[str, tuple[int, int]] = {
    "seccomp": (317, 277),
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "clone": (56, 220),
    "clone3": (435, 435),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "mount_setattr": (442, 442),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "userfaultfd": (323, 282),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "io_uring_setup": (425, 425),
    "execve": (59, 221),
    "execveat": (322, 281),
    "socket": (41, 198),
    "setpriority": (141, 140),
    "sched_setaffinity": (203, 122),
    "prlimit64": (302, 261),
    "chmod": (90, -1),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, -1),
    "fchown": (93, 55),
    "lchown": (94, -1),
    "fchownat": (260, 54),
    "setxattr": (188, 5),
    "utimensat": (280, 88),
}
# No application needs one of these: new namespaces and mounts, the kernel's own modules and programs, keys of the session.
NEVER = (
    "unshare", "setns", "mount", "umount2", "pivot_root", "open_tree", "move_mount", "fsopen", "mount_setattr", "bpf",
    "perf_event_open", "add_key", "request_key", "keyctl", "userfaultfd", "init_module", "finit_module", "delete_module",
    "kexec_load", "reboot", "swapon", "io_uring_setup",
)  # fmt: skip
# By these a process reaches into another of the same user.
INTO_OTHERS = ("tkill", "rt_sigqueueinfo", "pidfd_open", "pidfd_getfd", "pidfd_send_signal", "ptrace", "process_vm_readv",
               "process_vm_writev")  # fmt: skip
# What a network's arithmetic has no use for: programs and connections.
NOT_FOR_ARITHMETIC = ("execve", "execveat", "socket", "chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown",
                      "fchownat", "setxattr", "utimensat", "ptrace")  # fmt: skip
SIGNALS = ("kill", "tgkill")
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}


def available() -> bool:
    """Whether this machine's kernel takes a filter from a process without privileges."""
    if _machine() is None:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    # An empty program is refused as such (EFAULT) by a kernel that has filters, and as unknown (EINVAL, ENOSYS) by one without.
    libc.syscall(ctypes.c_long(_number("seccomp")), _SET_FILTER, 0, None)
    return ctypes.get_errno() == errno.EFAULT


def forbid(names: Sequence[str], new_users: bool = True) -> bool:
    """From here on these calls fail with EPERM. new_users : new user namespaces fail too. False where there is no filter."""
    return _install(_program(names, (), new_users), 0) is not None


def watched(names: Sequence[str], watch: Sequence[str]) -> int | None:
    """As :func:`forbid`; of the calls ``watch`` the holder of the descriptor that is returned decides (:func:`decide`).

    None where the kernel has no such descriptors; then nothing has changed.
    """
    return _install(_program(names, watch, True), _GIVE_LISTENER)


def decide(listener: int, allows: Callable[[int, str, tuple[int, ...]], bool]) -> None:
    """Answer one call that waits at ``listener``: ``allows(pid, call, arguments)`` says whether it is made or fails with EPERM."""
    notice = bytearray(80)
    with suppress(OSError):
        fcntl.ioctl(listener, _RECEIVE, notice)
        ident, pid, _flags, number = struct.unpack_from("=QIIi", notice)
        arguments = struct.unpack_from("=6Q", notice, 32)
        name = next((name for name in SIGNALS if _number(name) == number), "")
        good = allows(pid, name, arguments)
        answer = struct.pack("=QqiI", ident, 0, 0, _CONTINUE) if good else struct.pack("=QqiI", ident, 0, -errno.EPERM, 0)
        fcntl.ioctl(listener, _SEND, bytearray(answer))


def _install(program: bytes | None, flags: int) -> int | None:
    if program is None:
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        return None
    held = ctypes.create_string_buffer(program, len(program))
    about = struct.pack("@HP", len(program) // 8, ctypes.addressof(held))
    done = libc.syscall(ctypes.c_long(_number("seccomp")), _SET_FILTER, flags, about)
    return int(done) if done >= 0 else None


def _program(names: Sequence[str], watch: Sequence[str], new_users: bool) -> bytes | None:
    """A BPF program: another machine's calls fail, those named fail, those watched are asked about, all others are made."""
    machine = _machine()
    if machine is None:
        return None
    fails = _step(_RETURN, 0, 0, _ERROR | errno.EPERM)
    steps = [_step(_LOAD, 0, 0, _ARCHITECTURE), _step(_EQUAL, 1, 0, machine[1]), fails, _step(_LOAD, 0, 0, _NUMBER)]
    if machine[0] == 0:
        steps += [_step(_AT_LEAST, 0, 1, _X32), fails]  # the x86_64 kernel's second set of numbers
    for name in names:
        steps += [_step(_EQUAL, 0, 1, _number(name)), fails] if _number(name) >= 0 else []
    for name in watch:
        steps += [_step(_EQUAL, 0, 1, _number(name)), _step(_RETURN, 0, 0, _ASK)]
    if new_users:
        # clone3 hides its flags behind a pointer; where the answer is that there is none, libraries use clone.
        steps += [_step(_EQUAL, 0, 1, _number("clone3")), _step(_RETURN, 0, 0, _ERROR | errno.ENOSYS)]
        steps += [
            _step(_EQUAL, 0, 3, _number("clone")),
            _step(_LOAD, 0, 0, _FIRST_ARGUMENT),
            _step(_ANY_BIT, 0, 1, _NEW_USER),
            fails,
        ]
    steps += [_step(_RETURN, 0, 0, _ALLOW)]
    return b"".join(steps)


def _step(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _number(name: str) -> int:
    machine = _machine()
    return _CALLS[name][machine[0]] if machine is not None else -1


def _machine() -> tuple[int, int] | None:
    if sys.platform != "linux" or sys.byteorder != "little" or struct.calcsize("P") != 8:
        return None
    return _MACHINES.get(platform.machine())
