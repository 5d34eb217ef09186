"""The system's processes: which belong to a supervised one, how much memory they hold, and their end."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MARK = "CASEWISE_WORKER"  # a variable by which a process is known whose supervisor was killed
_ROUNDS = 200
_SHARE = 0.02  # of one core, at most, that looking at the processes may cost


@dataclass(frozen=True)
class Entry:
    """A living process. session : the session's leader. group : the process group's."""

    pid: int
    parent: int
    session: int
    group: int


class Table:
    """A list of the processes, shared by all who ask, and made again only as often as it is cheap."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[Entry] = []
        self._fresh_until = 0.0

    def resident(self, root: int, limit: float = float("inf")) -> int:
        """Bytes of memory of a supervised process and of all that it started.

        Where they seem to pass ``limit``, memory that they share is counted once, which takes longer to find out.
        """
        with self._lock:
            now = time.monotonic()
            if now >= self._fresh_until:
                self._entries = entries()
                taken = time.monotonic() - now
                self._fresh_until = now + max(0.1, taken / _SHARE)
            own = family(root, self._entries)
        total = sum(_memory(entry.pid) for entry in own)
        return total if total <= limit else sum(_memory(entry.pid, shared=True) for entry in own)


def entries() -> list[Entry]:
    """Every process that has not ended, of this or another user."""
    import psutil  # not before a supervisor has forked

    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError), process.oneshot():
            if process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
                found.append(Entry(process.pid, process.ppid(), os.getsid(process.pid), os.getpgid(process.pid)))
    return found


def family(root: int, among: Iterable[Entry]) -> list[Entry]:
    """The processes of a root's session and all that descend from them, the root first where it lives."""
    entries = list(among)
    own = {entry.pid for entry in entries if entry.pid == root or entry.session == root}
    found = len(own) - 1
    while len(own) != found:
        found = len(own)
        own |= {entry.pid for entry in entries if entry.parent in own}
    return sorted((entry for entry in entries if entry.pid in own), key=lambda entry: entry.pid != root)


def end(root: int, mark: str) -> bool:
    """Kill a supervisor's processes, and itself at last: as long as it lives, none of them can leave. Says whether none is left.

    mark : the value of the variable ``MARK`` that they were started with, by which they are found where the supervisor was killed.
    """
    alive = _alive(root)
    if alive and not end_descendants(root):
        return False
    with suppress(ProcessLookupError, PermissionError):
        os.kill(root, signal.SIGKILL)
    return alive or _end(lambda everyone: {e.pid for e in everyone if e.session == root or _has_mark(e.pid, mark)})


def end_descendants(root: int, spare: Iterable[int] = ()) -> bool:
    """Kill what descends from a process, but for ``spare`` and itself. Returns whether none is left."""
    spared = {root, *spare}
    return _end(lambda everyone: {entry.pid for entry in family(root, everyone)} - spared, reap=root == os.getpid())


def leader(task: int) -> int:
    """The process that a thread belongs to; 0 where there is none."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path(f"/proc/{task}/status").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("Tgid:"):
                return int(line.split()[1])
    return 0


def _end(doomed_among, reap: bool = False) -> bool:  # type: ignore[no-untyped-def]
    for round_ in range(_ROUNDS):
        doomed = doomed_among(entries())
        if not doomed:
            return True
        for pid in doomed:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if reap:
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
        time.sleep(0.002 if round_ < 5 else 0.02)
    return False


def _memory(pid: int, shared: bool = False) -> int:
    """Bytes, of which with ``shared`` memory that n processes have in common counts an n-th; 0 where the process has ended."""
    import psutil

    with suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        if shared:
            with suppress(psutil.AccessDenied, AttributeError):  # another user's, or a system that does not say
                return int(process.memory_full_info().pss)
        return int(process.memory_info().rss)
    return 0


def _has_mark(pid: int, mark: str) -> bool:
    import psutil

    with suppress(psutil.Error, OSError):
        return bool(psutil.Process(pid).environ().get(MARK) == mark)
    return False


def _alive(pid: int) -> bool:
    import psutil

    with suppress(psutil.Error):
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    return False
