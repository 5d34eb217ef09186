"""The processes that a server starts, workers and the one on the DICOM network: started again when they die, and ended with it."""

from __future__ import annotations

import logging
import os
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from casewise.threads import ONE_THREAD

_LOOK_SECONDS = 0.5
_PAUSES = (0.5, 1.0, 2.0, 5.0, 15.0)  # before one that died is started again, longer each time in a row
_HEALTHY_SECONDS = 10.0  # one that lived so long did not die of its start
_log = logging.getLogger("casewise.serve")


@dataclass
class _Child:
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    deaths: int = 0
    start_at: float = field(default_factory=time.monotonic)


class Children:
    """A process for each of ``commands``; one ends once its standard input does, which is when this process lets it go or dies."""

    def __init__(self, commands: Sequence[Sequence[str]]) -> None:
        self._children = [_Child(command) for command in commands]
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="children", daemon=True)

    def start(self) -> None:
        if self._children:
            self._thread.start()

    def stop(self, seconds: float = 40.0) -> None:
        """Let each finish the unit of work at hand; those that do not within ``seconds`` are killed (their jobs are not lost)."""
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join()
        running = [child.process for child in self._children if child.process is not None]
        for process in running:
            _close(process)
        until = time.monotonic() + seconds
        for process in running:
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _watch(self) -> None:
        while not self._ending.is_set():
            for child in self._children:
                self._look_after(child)
            self._ending.wait(_LOOK_SECONDS)

    def _look_after(self, child: _Child) -> None:
        now = time.monotonic()
        if child.process is not None and child.process.poll() is not None:
            child.deaths = 1 if now - child.started > _HEALTHY_SECONDS else child.deaths + 1
            pause = _PAUSES[min(child.deaths, len(_PAUSES)) - 1]
            _log.warning("A process of the server ended (%d) and is started again in %.1f s.", child.process.returncode, pause)
            _close(child.process)
            child.process, child.start_at = None, now + pause
        if child.process is None and now >= child.start_at:
            # In a session of its own: Ctrl-C in the terminal reaches the server, which lets its children finish.
            child.process = subprocess.Popen(  # noqa: S603 this interpreter, with casewise's own module
                child.command, stdin=subprocess.PIPE, env=os.environ | ONE_THREAD, start_new_session=True
            )
            child.started = now


def _close(process: subprocess.Popen[bytes]) -> None:
    """End the process's standard input, on which it ends."""
    if process.stdin is not None:
        process.stdin.close()
