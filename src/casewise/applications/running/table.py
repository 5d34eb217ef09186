"""The system's processes: which belong to a worker, how much memory they hold, and their end."""

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

MARK = "CASEWISE_WORKER"  # a variable by which a process is known that left its session and its parents
_PROC = Path("/proc")
_ROUNDS = 50
_SHARE = 0.02  # of one core, at most, that looking at the table may cost


@dataclass(frozen=True)
class Entry:
    """A living process. resident : bytes. session : the session's leader (the process group's where sessions are not told)."""

    pid: int
    parent: int
    session: int
    resident: int


class Table:
    """A snapshot of the processes, shared by all who ask, and taken again only as often as it is cheap."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[Entry] = []
        self._fresh_until = 0.0

    def resident(self, root: int) -> int:
        """Bytes of memory of a worker and of all that it started."""
        with self._lock:
            now = time.monotonic()
            if now >= self._fresh_until:
                self._entries = entries()
                taken = time.monotonic() - now
                self._fresh_until = now + max(0.1, taken / _SHARE)
            return sum(entry.resident for entry in family(root, self._entries))


def entries() -> list[Entry]:
    """Every process that has not ended, of this or another user."""
    if (_PROC / "self" / "stat").exists():
        return [found for path in _PROC.iterdir() if path.name.isdigit() and (found := _read(int(path.name))) is not None]
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


def end(root: int, mark: str, spare: Iterable[int] = ()) -> bool:
    """Kill a worker's processes, also those that left its session; ``spare`` are let live. Returns whether none is left.

    mark : the value of the variable ``MARK`` that they were started with.
    """
    spared = set(spare)
    for _ in range(_ROUNDS):
        everyone = entries()
        doomed = {entry.pid for entry in family(root, everyone)}
        doomed |= {entry.pid for entry in everyone if _has_mark(entry.pid, mark)}
        doomed -= spared
        if not doomed:
            return True
        for pid in doomed:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    return False


def _read(pid: int) -> Entry | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    # The name in brackets may hold anything; what follows it does not.
    words = text.rpartition(")")[2].split()
    if words[0] in "ZX":
        return None
    return Entry(pid, int(words[1]), int(words[3]), int(words[21]) * os.sysconf("SC_PAGE_SIZE"))


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
            found.append(Entry(int(pid), int(parent), int(group), 1024 * int(kilobytes)))
    return found
