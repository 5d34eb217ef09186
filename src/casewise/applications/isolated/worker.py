"""The process in which one application runs: it starts it, hands it one image after the other, and writes its answers.

The parent speaks by lines of JSON on stdin. The worker answers with one byte on what was its stdout, once ``start.json`` or a
task's ``answer.json`` is written; whatever the application prints goes to stderr. When the parent is gone, so is the worker.
It is confined before this module is imported (:mod:`casewise.confinement.supervisor`), and the parent believes nothing of it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from casewise.applications.isolated.answers import check_files, checked
from casewise.applications.isolated.directory import Directory, listed
from casewise.applications.isolated.serving import Requests, dumped, guarded
from casewise.applications.isolated.task import Runs, Task

READY = b"."
START, ANSWER = "start.json", "answer.json"


def main() -> None:
    """Serve until stdin ends."""
    requests = Requests()
    start = json.loads(requests.next())
    root = Path(start["root"])
    made: list[Runs] = []

    def begun() -> dict[str, object]:
        made.append(_started(start))
        return {}

    with Directory.open(root) as own:
        own.write(START, dumped(guarded(begun)))
    os.write(requests.answers, READY)
    if not made:
        return
    former: str | None = None
    while True:
        document = requests.next()
        if former is not None:  # here and not by the parent, whose threads wait for each other at every file
            with suppress(OSError), Directory.open(root) as folder:
                folder.remove(former)
        task = Task.of(json.loads(document))
        former = task.folder.name
        with Directory.open(root) as own, own.inner(former) as folder, folder.inner("out") as out:
            folder.write(ANSWER, dumped(guarded(lambda: _answered(made[0], task, start["name"], out))))  # noqa: B023 called here
        os.chdir(root)
        os.write(requests.answers, READY)


def _started(start: Mapping[str, Any]) -> Runs:
    kind, run = start["kind"], start["run"]
    if kind == "PythonRun":
        from casewise.applications.isolated.python import started

        return started(run["target"], start["settings"])
    if kind == "EndpointRun":
        from casewise.applications.isolated.endpoint import started as endpoint

        return endpoint(run, start["settings"])
    if kind == "NodeRun":
        from casewise.applications.isolated.node import started as node

        return node(run, start)
    from casewise.applications.isolated.commands import started as command

    return command(kind, run, start)


def _answered(runs: Runs, task: Task, name: str, out: Directory) -> dict[str, object]:
    findings, notes = runs(task)
    found = checked(findings, name, task.grid, task.out, listed(out).files)
    if any(finding.mask or finding.map or finding.segment for finding in found):
        check_files(found, task.image())
    return {"findings": findings, "notes": notes}
