"""The process in which one application runs: it starts it, hands it one image after the other, and writes its answers.

The parent speaks by lines of JSON on stdin. The worker answers with one byte on what was its stdout, once ``start.json`` or a
task's ``answer.json`` is written; whatever the application prints goes to stderr. When the parent is gone, so is the worker.
It is confined before this module is imported (:mod:`casewise.confinement.supervisor`), and the parent believes nothing of it.
"""

from __future__ import annotations

import errno
import json
import os
import queue
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from casewise.applications.isolated.answers import MOST_BYTES, check_files, checked
from casewise.applications.isolated.directory import Directory, listed
from casewise.applications.isolated.outcome import ApplicationError
from casewise.applications.isolated.task import Runs, Task
from casewise.errors import CasewiseError

READY = b"."
START, ANSWER = "start.json", "answer.json"
_LAST_WORDS = 64 * 1024


def main() -> None:
    """Serve until stdin ends."""
    lines = os.fdopen(os.dup(0), "r", encoding="utf-8")
    signal = os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    start = json.loads(lines.readline())
    root = Path(start["root"])
    tasks: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(lines, tasks), daemon=True).start()
    with Directory.open(root) as own:
        runs = _guarded(own, START, lambda: _started(start))
    os.write(signal, READY)
    if runs is None:
        return
    former: str | None = None
    while True:
        document = json.loads(tasks.get())
        if former is not None:  # here and not by the parent, whose threads wait for each other at every file
            with suppress(OSError), Directory.open(root) as folder:
                folder.remove(former)
        task = Task(
            **{
                **document,
                "folder": Path(document["folder"]),
                "source": Path(document["source"]),
                "grid": tuple(document["grid"]),
                "array": Path(document["array"]) if document["array"] else None,
                "shared": Path(document["shared"]) if document["shared"] else None,
            }
        )
        former = task.folder.name
        with Directory.open(root) as own, own.inner(former) as folder, folder.inner("out") as out:
            _guarded(folder, ANSWER, partial(_answered, runs, task, start["name"], out))
        os.chdir(root)
        os.write(signal, READY)


def _started(start: Mapping[str, Any]) -> Runs:
    kind, run = start["kind"], start["run"]
    if kind == "PythonRun":
        from casewise.applications.isolated.python import started

        return started(run["target"], start["settings"])
    if kind == "EndpointRun":
        from casewise.applications.isolated.endpoint import started as endpoint

        return endpoint(run, start["settings"])
    from casewise.applications.isolated.commands import started as command

    return command(kind, run, start)


def _answered(runs: Runs, task: Task, name: str, out: Directory) -> dict[str, object]:
    findings, notes = runs(task)
    found = checked(findings, name, task.grid, task.out, listed(out).files)
    if any(finding.mask or finding.map for finding in found):
        check_files(found, task.image())
    return {"findings": findings, "notes": notes}


def _guarded(folder: Directory, name: str, body: Callable[[], Any]) -> Any:
    """What ``body`` gives, and a file ``name`` in ``folder`` that says so; or None, and why."""
    log, result = "", None
    try:
        result = body()
        answer: dict[str, object] = result if isinstance(result, dict) else {}
    except ApplicationError as error:
        answer, log = {"failure": str(error), "sound": True}, error.log
    except CasewiseError as error:
        answer = {"failure": f"says: {error}", "sound": True}
    except MemoryError:
        answer = {"failure": "had not enough memory"}
    except BaseException as error:  # another's program may raise anything, SystemExit too
        answer, log = {"failure": _clause(error)}, traceback.format_exc()
    if log:
        answer["log"] = log[-_LAST_WORDS:]
    folder.write(name, _dumped(answer))
    return result


def _clause(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        place = f" {error.filename}" if error.filename else ""
        return f"tried to use{place}, which it may not; an application writes in its own folder only"
    first = " ".join(str(error).split())[:200]
    return f"failed with {type(error).__name__}{': ' if first else ''}{first}"


def _dumped(answer: Mapping[str, object]) -> bytes:
    try:
        text = json.dumps(answer)
    except (TypeError, ValueError, RecursionError) as error:
        text = json.dumps({"failure": f"returned a result that is not JSON: {str(error)[:200]}"})
    if len(text) > MOST_BYTES:
        text = json.dumps({"failure": f"returned a result of {len(text):,} bytes; allowed are {MOST_BYTES:,}"})
    return text.encode("ascii")


def _receive(lines: Any, tasks: queue.SimpleQueue[str]) -> None:
    for line in lines:
        tasks.put(line)
    os._exit(0)  # its supervisor ends what it started
