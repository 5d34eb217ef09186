"""The system's processes: which belong to a supervised one, how much memory they hold, and their end."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MARK = "CASEWISE_WORKER"  # a variable by which a process is known whose supervisor was killed
_PROC = Path("/proc")
_ROUNDS = 200
_SHARE = 0.02  # of one core, at most, that looking at the table may cost


@dataclass(frozen=True)
class Entry:
    """A living process. resident : bytes. session : the session's leader (the process group's where sessions are not known)."""

    pid: int
    parent: int
    session: int
    resident: int
    group: int = 0


class Table:
    """A snapshot of the processes, shared by all who ask, and taken again only as often as it is cheap."""

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
        total = sum(entry.resident for entry in own)
        return total if total <= limit else sum(_proportional(entry) for entry in own)


def entries() -> list[Entry]:
    """Every process that has not ended, of this or another user."""
    if (_PROC / "self" / "stat").exists():
        names = os.listdir(_PROC)  # noqa: PTH208 a path for each costs more than the reading
        return [found for name in names if name.isdigit() and (found := _read(int(name))) is not None]
    return _listed()


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
    alive = _read(root) is not None
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
        for line in (_PROC / str(task) / "status").read_text(encoding="utf-8", errors="replace").splitlines():
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


def _read(pid: int) -> Entry | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 hundreds a second
            text = file.read()
    except OSError:
        return None
    # The name in brackets may hold anything; what follows it does not.
    words = text.rpartition(b")")[2].split()
    if words[0] in b"ZX":
        return None
    return Entry(pid, int(words[1]), int(words[3]), int(words[21]) * os.sysconf("SC_PAGE_SIZE"), int(words[2]))


def _proportional(entry: Entry) -> int:
    """Bytes, of which memory that n processes share counts an n-th; all of it where the kernel does not say."""
    with suppress(OSError, ValueError, IndexError):
        for line in (_PROC / str(entry.pid) / "smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return 1024 * int(line.split()[1])
    return entry.resident


def _has_mark(pid: int, mark: str) -> bool:
    try:
        return f"{MARK}={mark}".encode() in (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def _listed() -> list[Entry]:
    command = ["/bin/ps", "-A", "-o", "pid=,ppid=,pgid=,rss=,state="]
    found = []
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():  # noqa: S603
        pid, parent, group, kilobytes, state = line.split()[:5]
        if not state.startswith("Z"):
            found.append(Entry(int(pid), int(parent), int(group), 1024 * int(kilobytes), int(group)))
    return found
