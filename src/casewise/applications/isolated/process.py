"""The parent's side of a foreign application's worker: started, given one image at a time, and never believed."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict

from casewise.applications.declared import ContainerRun, Declared, EndpointRun, PythonRun
from casewise.applications.isolated.adoption import IN_ITS_PLACE, read_answer
from casewise.applications.isolated.answers import MOST_BYTES
from casewise.applications.isolated.directory import Directory
from casewise.applications.isolated.environment import OF_CONNECTIONS, OF_LIBRARIES, PASSED_TO_RUNTIMES
from casewise.applications.isolated.held_process import HeldProcess, Supervision
from casewise.applications.isolated.worker import ANSWER, READY, START
from casewise.applications.node_run import NodeRun
from casewise.applications.outcome import ApplicationError

_TARGET = "casewise.applications.isolated.worker:main"


class Worker(HeldProcess):
    """A process that runs one application. name : of the folder that is made for it."""

    def __init__(self, declared: Declared, name: str, supervision: Supervision) -> None:
        label, confine = f"{declared.name} ({declared.origin})", not isinstance(declared.run, ContainerRun)
        super().__init__(_TARGET, name, label, supervision, declared.memory_mb, _variables(declared), confine)
        self.declared = declared

    def start(self) -> None:
        """Start the application. Raises ApplicationError where it cannot be started or is not ready in its time."""
        declared = self.declared
        self.send(
            {
                "name": declared.name,
                "kind": type(declared.run).__name__,
                "run": asdict(declared.run),
                "settings": dict(declared.settings),
                "memory_mb": declared.memory_mb,
                "seconds": declared.seconds,
                "detects": declared.detects,
                "root": str(self.root),
            }
        )
        limit = declared.start_seconds
        too_late = f"was stopped: it was not ready within {limit:g} s (start_seconds in its declaration)"
        self.wait(READY, limit, declared.memory_mb, too_late)
        read_answer(self.folder.read(START, MOST_BYTES), START)

    def run(self, document: Mapping[str, object], task: Directory) -> dict[str, object]:
        """Hand it one task and give its answer, ``{"findings": […], "notes": […]}``. Raises ApplicationError, a clause.

        task : the task's folder, which was made for it.
        """
        limit = self.declared.seconds
        self.send(document)
        too_late = f"was stopped after {limit:g} s, its limit (seconds in its declaration)"
        self.wait(READY, limit, self.declared.memory_mb, too_late)
        if not self.is_in_place() or not self.folder.holds(task, task.path.name):
            raise ApplicationError(IN_ITS_PLACE.format("its folder"))
        return read_answer(task.read(ANSWER, MOST_BYTES), ANSWER)

    def close(self) -> None:
        """End it, and its container, which outlives the client that started it."""
        super().close()
        run = self.declared.run
        if not isinstance(run, ContainerRun):
            return
        with suppress(OSError, subprocess.SubprocessError):
            names = [run.runtime, "ps", "--all", "--quiet", "--filter", f"name=casewise-{self.pid}-"]
            found = subprocess.run(names, capture_output=True, text=True, timeout=20, check=True).stdout.split()  # noqa: S603
            if found:
                subprocess.run([run.runtime, "rm", "--force", *found], capture_output=True, timeout=60, check=True)  # noqa: S603


def _variables(declared: Declared) -> tuple[str, ...]:
    """What programs and libraries need, and what the declaration names: nothing of this process's own secrets."""
    run = declared.run
    if isinstance(run, EndpointRun):
        return (*OF_CONNECTIONS, *((run.token_env,) if run.token_env else ()))
    if isinstance(run, NodeRun):
        return ()
    if isinstance(run, PythonRun):
        return (*run.environment, *OF_LIBRARIES)
    return (*run.environment, *(PASSED_TO_RUNTIMES if isinstance(run, ContainerRun) else ()))
