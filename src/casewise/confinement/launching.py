"""``Confined``: a process that runs one function of this installation under a supervisor, and its end."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from casewise.confinement import processes
from casewise.confinement.supervisor import Plan

_CODE = "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from casewise.confinement.supervisor import main; main()"
_TAIL = 64 * 1024
_LONGEST_LABEL = 300


class Confined:
    """A process held as ``plan`` says; its stdin and stdout are pipes, the end of what it writes to stderr is kept.

    label : words that ``ps`` displays with it. environment : all that it is given of one. stdin : a descriptor instead of the pipe.
    """

    def __init__(self, plan: Plan, label: str, environment: Mapping[str, str], folder: Path, stdin: int = subprocess.PIPE) -> None:
        self._mark, self._tail = uuid.uuid4().hex, bytearray()
        search = json.dumps([path or str(Path.cwd()) for path in sys.path])
        theirs, self._lifeline = os.pipe()
        words = [search, json.dumps(plan.to_json()), str(theirs), label[:_LONGEST_LABEL]]
        try:
            self.process = subprocess.Popen(  # noqa: S603 this interpreter, with casewise's own module
                [sys.executable, "-P", "-c", _CODE, *words],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=folder,
                env={**environment, processes.MARK: self._mark},
                start_new_session=True,
                pass_fds=(theirs,),
            )
        except BaseException:
            os.close(self._lifeline)
            raise
        finally:
            os.close(theirs)
        self._closing = threading.Lock()
        threading.Thread(target=self._drain, daemon=True).start()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def stdin(self) -> int:
        return self.process.stdin.fileno() if self.process.stdin is not None else -1

    @property
    def stdout(self) -> int:
        return self.process.stdout.fileno() if self.process.stdout is not None else -1

    @property
    def stderr_tail(self) -> str:
        return self._tail.decode("utf-8", errors="backslashreplace")

    def send(self, line: bytes) -> None:
        """Raises OSError where it has ended."""
        view = memoryview(line)
        while view:
            view = view[os.write(self.stdin, view[: select.PIPE_BUF]) :]

    def end(self) -> None:
        """End it and all that it started. Safe to call again."""
        with self._closing:
            if self._lifeline < 0:
                return
            processes.end(self.pid, self._mark)
            self.process.wait()
            os.close(self._lifeline)
            self._lifeline = -1
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()

    def _drain(self) -> None:
        """Keep the end of what it says; one that says very much must neither wait nor fill the memory."""
        pipe = self.process.stderr
        if pipe is not None:
            with pipe, suppress(ValueError):
                while chunk := pipe.read1(65536):  # type: ignore[attr-defined]
                    self._tail += chunk
                    del self._tail[:-_TAIL]
