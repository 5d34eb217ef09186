"""The parent's side of a worker: it is started, given one image at a time, watched, and ended with all that it started."""

from __future__ import annotations

import json
import os
import select
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from casewise.applications.declared import ContainerRun, Declared, EndpointRun, PythonRun
from casewise.applications.isolated.answers import MOST_BYTES, parse
from casewise.applications.isolated.commands import PASSED, PASSED_TO_RUNTIMES, THREADS, passed
from casewise.applications.isolated.directory import Directory
from casewise.applications.isolated.outcome import ApplicationError
from casewise.applications.isolated.worker import ANSWER, READY, START
from casewise.confinement import Confined, Plan, processes

_TARGET = "casewise.applications.isolated.worker:main"
_CACHES = ("XDG_CACHE_HOME", "MPLCONFIGDIR", "NUMBA_CACHE_DIR")
# What libraries of Python applications look for, by how the names begin.
_OF_LIBRARIES = ("PYTHON*", "TORCH*", "PYTORCH*", "CUDA*", "NVIDIA*", "MONAI*", "nnUNet*", "HF_HOME", "KERAS_HOME", "TF_*")
_OF_CONNECTIONS = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_DIR")
_LOOK = 0.1  # seconds between two looks at a worker's memory
_QUIET = 0.3  # seconds before the first look: most images are through by then
_TIDY = 8  # tasks between two looks at what it left
_WORN = 0.8  # share of its memory limit from which on a worker is not used again
_MEGABYTE = 1024 * 1024


class Worker:
    """A process that runs one application.

    name : of a folder in ``scratch`` that is made for it, the only one that it may write in; an application that is declared as
    ``shared`` may write in ``shared`` too. table : who knows how much memory it holds. stopping : set when all is to end.
    """

    def __init__(
        self, declared: Declared, scratch: Directory, name: str, table: processes.Table, stopping: threading.Event, shared: Path
    ) -> None:
        self.declared = declared
        self._scratch, self._name = scratch, name
        self._shared = [str(shared)] if declared.shared else []
        self._table, self._stopping, self._tasks = table, stopping, 0
        self.folder = scratch.make(name)
        self.folder.make("tmp").close()
        self.root = self.folder.path
        is_container = isinstance(declared.run, ContainerRun)
        plan = Plan(_TARGET, (str(self.root), *self._shared), declared.memory_mb, confine=not is_container)
        self._process = Confined(plan, f"{declared.name} ({declared.origin})", self._environment(), self.root)

    @property
    def pid(self) -> int:
        return self._process.pid

    def _environment(self) -> dict[str, str]:
        """What programs and libraries need, and what the declaration names: nothing of this process's own secrets."""
        run, temporary = self.declared.run, str(self.root / "tmp")
        if isinstance(run, EndpointRun):
            named = (*_OF_CONNECTIONS, *((run.token_env,) if run.token_env else ()))
        else:
            named = (*run.environment, *(_OF_LIBRARIES if isinstance(run, PythonRun) else ()))
            named += PASSED_TO_RUNTIMES if isinstance(run, ContainerRun) else ()
        places = {"TMPDIR": temporary, **dict.fromkeys(_CACHES, temporary)}
        return {**passed((*PASSED, "HOME", *named)), **dict.fromkeys(THREADS, "1"), **places}

    def start(self) -> None:
        """Start the application. Raises ApplicationError where it cannot be started or is not ready in its time."""
        declared = self.declared
        kind = type(declared.run).__name__
        document = {
            "name": declared.name,
            "kind": kind,
            "run": asdict(declared.run),
            "settings": dict(declared.settings),
            "memory_mb": declared.memory_mb,
            "root": str(self.root),
            "confine": not isinstance(declared.run, ContainerRun),
            "shared": self._shared,
        }
        self._send(document)
        limit = declared.start_seconds
        self._wait(limit, f"was stopped: it was not ready within {limit:g} s (start_seconds in its declaration)")
        self._read(self.folder, START)

    def run(self, document: Mapping[str, object], task: Directory) -> dict[str, object]:
        """Hand it one task and give its answer, ``{"findings": […], "notes": […]}``. Raises ApplicationError, a clause.

        task : the task's folder, which was made for it.
        """
        limit = self.declared.seconds
        self._send(document)
        self._wait(limit, f"was stopped after {limit:g} s, its limit (seconds in its declaration)")
        if not self._scratch.holds(self.folder, self._name) or not self.folder.holds(task, task.path.name):
            raise ApplicationError("put something else in the place of its folder, which is not followed")
        return self._read(task, ANSWER)

    def is_fresh(self) -> bool:
        """Whether it can be used for the next image: it lives and has not grown close to its limit."""
        if self._process.process.poll() is not None:
            return False
        limit = _WORN * self.declared.memory_mb * _MEGABYTE
        return self._table.resident(self.pid, limit) < limit

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
        self._scratch.remove(self._name)

    @property
    def last_words(self) -> str:
        return self._process.stderr_tail

    def _send(self, document: Mapping[str, object]) -> None:
        try:
            self._process.send(json.dumps(document, default=str).encode() + b"\n")
        except OSError as error:
            raise self._ended() from error

    def _wait(self, seconds: float, too_late: str) -> None:
        """Until it signals. Raises ApplicationError where it ends, passes its time or memory, or all is to stop."""
        began = time.monotonic()
        stdout = self._process.stdout
        while True:
            passed = time.monotonic() - began
            if passed >= seconds:
                raise ApplicationError(too_late)
            if select.select([stdout], [], [], min(_LOOK, seconds - passed))[0]:
                signal = os.read(stdout, 4096)
                if not signal:
                    raise self._ended()
                if READY in signal:
                    return
            if self._stopping.is_set():
                raise ApplicationError("was stopped, because casewise was")
            if time.monotonic() - began > min(_QUIET, seconds / 2):
                self._check_memory()

    def _check_memory(self) -> None:
        limit = self.declared.memory_mb
        used = self._table.resident(self.pid, limit * _MEGABYTE) / _MEGABYTE
        if used > limit:
            raise ApplicationError(f"was stopped when it held {used:,.0f} MB of memory; its limit is {limit:,.0f} MB (memory_mb)")

    def _read(self, folder: Directory, name: str) -> dict[str, object]:
        answer = parse(folder.read(name, MOST_BYTES), name)
        if not isinstance(answer, dict):
            raise ApplicationError("returned an invalid result")
        if "failure" in answer:
            error = ApplicationError(str(answer["failure"]))
            error.log, error.sound = str(answer.get("log", "")), answer.get("sound") is True
            raise error
        return answer

    def _ended(self) -> ApplicationError:
        try:
            code = self._process.process.wait(5)
        except subprocess.TimeoutExpired:
            return ApplicationError("stopped responding")
        return ApplicationError(f"was ended by signal {-code}" if code < 0 else f"ended by itself with exit code {code}")
