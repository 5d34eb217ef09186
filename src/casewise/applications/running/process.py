"""The parent's side of a worker: it is started, given one image at a time, watched, and ended with all that it started."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from casewise.applications.declared import ContainerRun, Declared
from casewise.applications.running import table
from casewise.applications.running.answers import read_document
from casewise.applications.running.outcome import ApplicationError
from casewise.applications.running.worker import ANSWER, READY, START

_CODE = "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from casewise.applications.running.worker import main; main()"
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
_CACHES = ("XDG_CACHE_HOME", "MPLCONFIGDIR", "NUMBA_CACHE_DIR")
_LOOK = 0.1  # seconds between two looks at a worker's memory
_QUIET = 0.3  # seconds before the first look: most images are through by then
_TIDY = 8  # tasks between two looks at what it left
_WORN = 0.8  # share of its memory limit from which on a worker is not used again
_LAST_WORDS = 64 * 1024
_MEGABYTE = 1024 * 1024


class Worker:
    """A process that runs one application.

    root : a folder of its own, the only one that it may write in; an application that is declared as ``shared`` may write in
    ``shared`` too. processes : who knows how much memory it holds. stopping : set when all is to end.
    """

    def __init__(self, declared: Declared, root: Path, processes: table.Table, stopping: threading.Event, shared: Path) -> None:
        self.declared, self.root = declared, root
        self._shared = [str(shared)] if declared.shared else []
        self._processes, self._stopping = processes, stopping
        self._mark = uuid.uuid4().hex
        self._tail, self._tasks = bytearray(), 0
        (root / "tmp").mkdir(parents=True)
        places = {"TMPDIR": str(root / "tmp"), **dict.fromkeys(_CACHES, str(root / "tmp"))}
        environment = {**os.environ, **dict.fromkeys(_THREADS, "1"), **places, table.MARK: self._mark}
        search = json.dumps([path or str(Path.cwd()) for path in sys.path])
        self._process = subprocess.Popen(  # noqa: S603 this interpreter, with casewise's own module
            [sys.executable, "-P", "-c", _CODE, search],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=root,
            env=environment,
            start_new_session=True,
        )
        threading.Thread(target=self._drain, daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

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
        self._read(self.root / START)

    def run(self, document: Mapping[str, object]) -> dict[str, object]:
        """Hand it one task and give its answer, ``{"findings": […], "notes": […]}``. Raises ApplicationError, a clause."""
        limit = self.declared.seconds
        self._send(document)
        self._wait(limit, f"was stopped after {limit:g} s, its limit (seconds in its declaration)")
        return self._read(Path(str(document["folder"])) / ANSWER)

    def is_fresh(self) -> bool:
        """Whether it can be used for the next image: it lives and has not grown close to its limit."""
        if self._process.poll() is not None:
            return False
        statm = Path(f"/proc/{self.pid}/statm")
        with suppress(OSError, ValueError, IndexError):
            pages = int(statm.read_text(encoding="ascii").split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE") < _WORN * self.declared.memory_mb * _MEGABYTE
        return True

    def tidy(self) -> None:
        """Remove now and then what it left in its folder; a task's own folder it removes itself when the next one comes."""
        self._tasks += 1
        if self._tasks % _TIDY:
            return
        for path in self.root.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        (self.root / "tmp").mkdir(exist_ok=True)

    def close(self) -> None:
        """End it and all that it started, and remove its folder."""
        table.end(self.pid, self._mark)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        shutil.rmtree(self.root, ignore_errors=True)

    @property
    def last_words(self) -> str:
        return self._tail.decode("utf-8", errors="backslashreplace")

    def _send(self, document: Mapping[str, object]) -> None:
        line = json.dumps(document, default=str).encode() + b"\n"
        try:
            os.write(self._stdin, line) if len(line) < select.PIPE_BUF else self._write_all(line)
        except OSError as error:
            raise self._ended() from error

    def _write_all(self, line: bytes) -> None:
        view = memoryview(line)
        while view:
            view = view[os.write(self._stdin, view) :]

    @property
    def _stdin(self) -> int:
        return self._process.stdin.fileno() if self._process.stdin is not None else -1

    def _wait(self, seconds: float, too_late: str) -> None:
        """Until it signals. Raises ApplicationError where it ends, passes its time or memory, or all is to stop."""
        began = time.monotonic()
        stdout = self._process.stdout.fileno() if self._process.stdout is not None else -1
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
        used, limit = self._processes.resident(self.pid) / _MEGABYTE, self.declared.memory_mb
        if used > limit:
            raise ApplicationError(f"was stopped when it held {used:,.0f} MB of memory; its limit is {limit:,.0f} MB (memory_mb)")

    def _read(self, path: Path) -> dict[str, object]:
        answer = read_document(path)
        if not isinstance(answer, dict):
            raise ApplicationError("answered with what is no answer")
        if "failure" in answer:
            error = ApplicationError(str(answer["failure"]))
            error.log, error.sound = str(answer.get("log", "")), answer.get("sound") is True
            raise error
        return answer

    def _ended(self) -> ApplicationError:
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            return ApplicationError("does not speak any more")
        return ApplicationError(f"was ended by signal {-code}" if code < 0 else f"ended by itself with exit code {code}")

    def _drain(self) -> None:
        """Keep the end of what it says; a worker that says very much must neither wait nor fill the memory."""
        pipe = self._process.stderr
        if pipe is not None:
            with pipe, suppress(ValueError):
                while chunk := pipe.read1(65536):  # type: ignore[attr-defined]
                    self._tail += chunk
                    del self._tail[:-_LAST_WORDS]
