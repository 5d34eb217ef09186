"""The process between casewise and one that is confined: it starts it, outlives it, and ends whatever it started.

Light on purpose: it forks before anything large is imported. What the confined process starts becomes this process's child as soon
as its own parent ends (subreaper), so that nothing can leave by a double fork. When casewise is gone, the pipe ``lifeline`` is
closed from the other side, and everything here ends too.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import select
import signal
import socket
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from casewise.confinement import landlock, namespaces, processes, seccomp

_SUBREAPER, _PARENTS_DEATH = 36, 1
_LOOK = 1.0  # seconds between two looks for what ended
_LARGEST_FILE = 16 << 30
_MOST_PROCESSES = 4096


@dataclass(frozen=True)
class Plan:
    """How a process is held.

    target : ``module:function``, which is called without arguments once the process is confined. writable : the folders in which it
    may write. memory_mb : of its shared memory. confine : False: it is only supervised. network : whether it may have connections.
    arithmetic : it starts no programs and makes no connections. devices : whether it may write to /dev/null, a GPU, shared memory.
    without : ``namespaces``, ``landlock``: means that are not used, as on a system that has them not.
    """

    target: str
    writable: tuple[str, ...] = ()
    memory_mb: float = 4096
    confine: bool = True
    network: bool = True
    arithmetic: bool = False
    devices: bool = True
    without: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "writable": list(self.writable), "without": list(self.without)}


def main() -> None:
    """``-c CODE SEARCH_PATH PLAN LIFELINE LABEL``; ends as the confined process did."""
    plan = Plan(**json.loads(sys.argv[2]))
    lifeline = int(sys.argv[3])
    _prctl(_SUBREAPER, 1)
    _volunteer()
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    inside = plan.confine and "namespaces" not in plan.without and namespaces.possible()
    watch, outward = socket.socketpair()
    statuses, status = os.pipe()
    if inside:
        namespaces.enter(plan.network)
    child = os.fork()
    if child == 0:
        os.close(lifeline)
        os.close(statuses)
        watch.close()
        _prctl(_PARENTS_DEATH, signal.SIGKILL)
        _first(plan, outward, status) if inside else _confined(plan, outward, alone=True)
    outward.close()
    os.close(status)
    _be_silent()
    code = _watch(child, lifeline, watch)
    processes.end_descendants(os.getpid())
    _end_as(_status_of(statuses) if inside and code == 0 else code)


def _first(plan: Plan, outward: socket.socket, status: int) -> None:
    """The first process of a namespace: when it ends, the kernel ends all the others in it."""
    namespaces.own_file_systems([Path(folder) for folder in plan.writable], plan.memory_mb)
    child = os.fork()
    if child == 0:
        os.close(status)
        _confined(plan, outward, alone=False)
    outward.close()
    _be_silent()
    while True:
        pid, code = os.waitpid(-1, 0)
        if pid == child:
            os.write(status, struct.pack("=i", code))
            os._exit(0)


def _confined(plan: Plan, outward: socket.socket, alone: bool) -> None:
    """The confined process itself. alone : other processes than its own are visible to it, as there is no namespace."""
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        if plan.confine:
            _hold(plan, outward, alone)
        outward.close()
        module, _, name = plan.target.partition(":")
        getattr(importlib.import_module(module), name)()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with suppress(BaseException):
            sys.stderr.flush()
        os._exit(code)


def _hold(plan: Plan, outward: socket.socket, alone: bool) -> None:
    _limit()
    namespaces.drop_capabilities()
    if plan.writable:
        os.chdir(plan.writable[0])  # in the mount that can be written to
    use = "landlock" not in plan.without
    held = use and landlock.confine([Path(folder) for folder in plan.writable], devices=plan.devices)
    never = (*seccomp.NEVER, *(seccomp.NOT_FOR_ARITHMETIC if plan.arithmetic else ()), *(() if held else seccomp.INTO_OTHERS))
    if not alone or (held and landlock.holds_signals()):
        seccomp.forbid(never)
        return
    listener = seccomp.watched((*never, *seccomp.INTO_OTHERS), seccomp.SIGNALS)
    if listener is None:
        seccomp.forbid((*never, *seccomp.INTO_OTHERS))
        return
    socket.send_fds(outward, [b"."], [listener])
    os.close(listener)


def _limit() -> None:
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST_FILE, _LARGEST_FILE))
        if not namespaces.is_first_user_namespace():  # there they count for this process alone, and not for the user
            resource.setrlimit(resource.RLIMIT_NPROC, (_MOST_PROCESSES, _MOST_PROCESSES))


def _watch(child: int, lifeline: int, watch: socket.socket) -> int:
    """Until the child has ended or casewise has; the child's code (negative: a signal)."""
    listener: int | None = None
    sources = [lifeline, watch.fileno()]
    own = os.pidfd_open(child) if hasattr(os, "pidfd_open") else None
    if own is not None:
        sources.append(own)
    while True:
        ready = select.select(sources, [], [], _LOOK if own is not None else 0.05)[0]
        if lifeline in ready:
            return -signal.SIGKILL
        if watch.fileno() in ready:
            with suppress(OSError):
                found = socket.recv_fds(watch, 1, 1)[1]
                listener = found[0] if found else None
            sources.remove(watch.fileno())
            sources += [listener] if listener is not None else []
        if listener in ready and listener is not None:
            seccomp.decide(listener, _may_signal)
        while True:
            try:
                pid, code = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return 1
            if pid == 0:
                break
            if pid == child:
                return os.waitstatus_to_exitcode(code)


def _may_signal(pid: int, call: str, arguments: tuple[int, ...]) -> bool:
    """Whether a signal goes to what the confined process and its children are: processes that descend from this one."""
    target = struct.unpack("=i", struct.pack("=I", arguments[0] & 0xFFFFFFFF))[0]
    own = {entry.pid: entry for entry in processes.family(os.getpid(), processes.entries()) if entry.pid != os.getpid()}
    if target > 0:
        return processes.leader(target) in own
    if target == 0:
        return pid in own or processes.leader(pid) in own
    members = [entry.pid for entry in processes.entries() if entry.group == -target]
    return target != -1 and bool(members) and all(member in own for member in members)


def _status_of(statuses: int) -> int:
    status = os.read(statuses, 4)
    return os.waitstatus_to_exitcode(struct.unpack("=i", status)[0]) if len(status) == 4 else 1


def _end_as(code: int) -> None:
    if code < 0:
        with suppress(OSError, ValueError):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code if code >= 0 else 1)


def _be_silent() -> None:
    """The pipes are the confined process's alone: casewise is to see when it closes them."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)


def _volunteer() -> None:
    """Where the whole system runs out of memory, Linux is to end an application and not the program that started it."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("800", encoding="ascii")


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
