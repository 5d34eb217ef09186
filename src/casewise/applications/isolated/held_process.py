"""A process with a folder of its own: whenever it is waited for, it is held to a time and a memory limit."""

from __future__ import annotations

import itertools
import json
import os
import select
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from casewise.applications.isolated.directory import Directory
from casewise.applications.isolated.environment import of_worker
from casewise.applications.isolated.scratch import Scratch
from casewise.applications.outcome import ApplicationError
from casewise.confinement import Confined, Plan, processes
from casewise.image import Image

_LOOK = 0.1  # seconds between two looks at a worker's memory
_QUIET = 0.3  # seconds before the first look: most images are through by then
_TIDY = 8  # tasks between two looks at what it left
_WORN = 0.8  # share of its memory limit from which on a worker is not used again
_MEGABYTE = 1024 * 1024


class Voxels:
    """An image's voxels as a file that workers map: written when the first needs it, its pages shared by all."""

    def __init__(self, image: Image, path: Path) -> None:
        self._image, self._path, self._lock = image, path, threading.Lock()

    def path(self) -> Path:
        with self._lock:
            if not self._path.exists():
                np.save(self._path, self._image.array, allow_pickle=False)
        return self._path

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)


class Supervision:
    """What all processes of a runner have in common.

    home : the folder in which theirs lie, in a temporary one that is removed by ``close``. stopping : set when all is to end.
    table : how much memory each holds.
    """

    def __init__(self) -> None:
        self.scratch = Scratch()
        self.home = Directory.open(self.scratch.path)
        self.stopping, self.table = threading.Event(), processes.Table()
        self._numbers = itertools.count(1)

    def number(self) -> int:
        """One that was not given before, for a name."""
        return next(self._numbers)

    def voxels(self, image: Image) -> Voxels:
        """Those of an image, for workers to map."""
        return Voxels(image, self.scratch.path / f"image-{self.number()}.npy")

    def close(self) -> None:
        self.home.close()
        self.scratch.remove()


class HeldProcess:
    """Runs ``target`` confined to a new folder ``name`` in the supervision's home, the only one in which it may write.

    label : words that ``ps`` displays. variables : names of this process's variables that it is given besides the usual ones.
    confine : False: it is only supervised.
    """

    def __init__(
        self,
        target: str,
        name: str,
        label: str,
        supervision: Supervision,
        memory_mb: float,
        variables: Sequence[str] = (),
        confine: bool = True,
    ) -> None:
        self._supervision, self._name, self._tasks = supervision, name, 0
        self._memory_mb = memory_mb
        self.folder = supervision.home.make(name)
        self.folder.make("tmp").close()
        self.root: Path = self.folder.path
        plan = Plan(target, (str(self.root),), memory_mb, confine=confine)
        self._process = Confined(plan, label, of_worker(variables, self.root / "tmp"), self.root)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def stderr_tail(self) -> str:
        return self._process.stderr_tail

    def is_in_place(self) -> bool:
        """Whether its folder still is where it was made, and no other or a link in its place."""
        return self._supervision.home.holds(self.folder, self._name)

    def is_fresh(self) -> bool:
        """Whether it can be used for the next image: it lives and has not grown close to its limit."""
        if self._process.process.poll() is not None:
            return False
        limit = _WORN * self._memory_mb * _MEGABYTE
        return self._supervision.table.resident(self.pid, limit) < limit

    def tidy(self) -> None:
        """Remove now and then what it left in its folder; a task's own folder it removes itself when the next one comes."""
        self._tasks += 1
        if self._tasks % _TIDY:
            return
        self.folder.clear()
        with suppress(OSError):
            self.folder.make("tmp").close()

    def close(self) -> None:
        """End it and all that it started, and remove its folder."""
        self._process.end()
        self.folder.close()
        self._supervision.home.remove(self._name)

    def send(self, document: Mapping[str, object]) -> None:
        """One line of JSON. Raises ApplicationError where it has ended."""
        try:
            self._process.send(json.dumps(document, default=str).encode() + b"\n")
        except OSError as error:
            raise self._ended() from error

    def wait(self, end: bytes, seconds: float, memory_mb: float, too_late: str) -> bytes:
        """What it writes to stdout until ``end``, which is left out. Raises ApplicationError where it ends, passes its time
        (``too_late`` is the clause) or its memory, or where all is to stop.
        """
        began = time.monotonic()
        stdout, found = self._process.stdout, bytearray()
        while True:
            passed = time.monotonic() - began
            if passed >= seconds:
                raise ApplicationError(too_late)
            if select.select([stdout], [], [], min(_LOOK, seconds - passed))[0]:
                piece = os.read(stdout, 65536)
                if not piece:
                    raise self._ended()
                found += piece
                if end in piece:
                    return bytes(found.partition(end)[0])
            if self._supervision.stopping.is_set():
                raise ApplicationError("was stopped, because casewise was")
            if time.monotonic() - began > min(_QUIET, seconds / 2):
                self._check_memory(memory_mb)

    def _check_memory(self, limit: float) -> None:
        used = self._supervision.table.resident(self.pid, limit * _MEGABYTE) / _MEGABYTE
        if used > limit:
            raise ApplicationError(f"was stopped when it held {used:,.0f} MB of memory; its limit is {limit:,.0f} MB (memory_mb)")

    def _ended(self) -> ApplicationError:
        try:
            code = self._process.process.wait(5)
        except subprocess.TimeoutExpired:
            return ApplicationError("stopped responding")
        return ApplicationError(f"was ended by signal {-code}" if code < 0 else f"ended by itself with exit code {code}")


Held = TypeVar("Held", bound=HeldProcess)


class Idle(Generic[Held]):
    """Processes that wait for the next image; safe for threads. most : how many are kept, the longest idle ended first."""

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, threading.Lock()
        self._waiting: list[Held] = []

    def take(self, fits: Callable[[Held], bool]) -> Held | None:
        """The one that waits the shortest of those that fit."""
        with self._lock:
            found = next((one for one in reversed(self._waiting) if fits(one)), None)
            if found is not None:
                self._waiting.remove(found)
            return found

    def give_back(self, process: Held, sound: bool = True) -> None:
        """Keep it for the next image, or end it where it was stopped, died, or has grown."""
        if not sound or not process.is_fresh():
            process.close()
            return
        process.tidy()
        with self._lock:
            self._waiting.append(process)
            old = self._waiting.pop(0) if len(self._waiting) > self._most else None
        if old is not None:
            old.close()

    def close(self) -> None:
        """End all."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for process in waiting:
            process.close()
