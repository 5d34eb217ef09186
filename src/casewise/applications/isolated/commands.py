"""Runs programs and containers by the folder contract; no shell is involved."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from casewise.applications.isolated.answers import MOST_BYTES, RESULT, findings_of_result, parse
from casewise.applications.isolated.directory import Directory
from casewise.applications.isolated.environment import PASSED, PASSED_TO_RUNTIMES, THREADS, passed
from casewise.applications.isolated.folders import fill
from casewise.applications.isolated.task import Runs, Task
from casewise.applications.outcome import ApplicationError
from casewise.confinement import processes

_TAIL = 64 * 1024  # bytes of what a program writes that are kept
_KILLED = 137
# Where mercure mounts them; programs that were written for it may not look at the variables.
CONTAINER_IN, CONTAINER_OUT = "/tmp/data", "/tmp/output"  # noqa: S108 inside the container


def started(kind: str, run: Mapping[str, Any], start: Mapping[str, Any]) -> Runs:
    """A program or a container; nothing is started before the first image."""
    settings = start["settings"]

    def command(task: Task) -> tuple[list[object], list[str]]:
        inside, temporary = task.folder / "in", task.folder / "tmp"
        fill(inside, task, settings)
        temporary.mkdir()
        if kind == "ContainerRun":
            argv = container_argv(run, inside, task.out, task.ident, start["memory_mb"])
            names = (*PASSED, *PASSED_TO_RUNTIMES, *run["environment"])
            environment = {**passed(names), processes.MARK: os.environ.get(processes.MARK, "-")}
        else:
            argv = command_argv(run, inside, task.out)
            environment = command_environment(run["environment"], inside, task.out, temporary)
        with Directory.open(task.folder) as folder, folder.inner("out") as out:
            _execute(argv, environment, temporary)
            if not folder.holds(out, "out"):
                raise ApplicationError("put something else in the place of its out folder, which is not followed")
            return _result(out)

    return command


def command_argv(run: Mapping[str, Any], inside: Path, out: Path) -> list[str]:
    """The argument list, its words filled in; a program with a ``/`` in its name is looked for beside the TOML file."""
    here = Path(run["here"] or ".").absolute()
    words = [word.replace("{in}", str(inside)).replace("{out}", str(out)).replace("{here}", str(here)) for word in run["argv"]]
    if "/" in words[0]:
        words[0] = str(here / words[0])
    return words


def command_environment(named: Sequence[str], inside: Path, out: Path, temporary: Path) -> dict[str, str]:
    """The contract's variables, threads held to one, the few variables that programs need, and those that were named."""
    private = {"HOME": str(temporary), "TMPDIR": str(temporary), "XDG_CACHE_HOME": str(temporary)}
    threads = dict.fromkeys(THREADS, "1")
    mark = {processes.MARK: os.environ.get(processes.MARK, "-")}
    return {**passed(PASSED), **private, **threads, **passed(named), **mark, **_folders(str(inside), str(out))}


def container_argv(run: Mapping[str, Any], inside: Path, out: Path, ident: str, memory_mb: float) -> list[str]:
    """``docker run …``: no network, no privileges, this user, a read-only in folder, its memory limited by the runtime."""
    folders = _folders(CONTAINER_IN, CONTAINER_OUT)
    variables = [word for name, value in folders.items() for word in ("--env", f"{name}={value}")]
    variables += [word for name in run["environment"] for word in ("--env", name)]
    limits = ["--memory", f"{max(6, int(memory_mb))}m", "--cpus", "1", "--pids-limit", "512"]
    user = f"{os.getuid()}:{os.getgid()}"
    safe = ["--network", "none", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", user]
    mounts = ["--volume", f"{inside}:{CONTAINER_IN}:ro", "--volume", f"{out}:{CONTAINER_OUT}:rw"]
    head = [run["runtime"], "run", "--rm", "--pull", "never", "--name", ident]
    return [*head, *safe, *limits, *mounts, *variables, run["image"], *run["arguments"]]


def _folders(inside: str, out: str) -> dict[str, str]:
    names = {"CASEWISE_IN_DIR": inside, "CASEWISE_OUT_DIR": out, "MERCURE_IN_DIR": inside, "MERCURE_OUT_DIR": out}
    # MONAI Deploy's applications look for these.
    return {**names, "HOLOSCAN_INPUT_PATH": inside, "HOLOSCAN_OUTPUT_PATH": out}


def _execute(argv: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
    try:
        process = subprocess.Popen(  # noqa: S603 an argument list that the user declared; no shell
            argv,
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
    except FileNotFoundError as error:
        raise ApplicationError(f"cannot be started: the program {argv[0]} is not there; install it, or mend the command") from error
    except OSError as error:
        raise ApplicationError(f"cannot be started: {argv[0]}: {(error.strerror or str(error)).lower()}") from error
    words = bytearray()
    reader = threading.Thread(target=_drain, args=(process.stdout, words), daemon=True)
    reader.start()
    code = process.wait()
    # What it left running in the background would outlive its answer: all of it became a child of the worker's own parent.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    processes.end_descendants(os.getppid(), spare=[os.getpid()])
    reader.join(1)
    if code != 0:
        failed = ApplicationError(_ended(code, Path(argv[0]).name))
        failed.log = words.decode("utf-8", errors="backslashreplace")
        raise failed


def _ended(code: int, program: str) -> str:
    if code < 0:
        return f"was ended by signal {-code}"
    if code == _KILLED and program in ("docker", "podman"):
        return f"was ended from outside (exit code {code}), most likely because it passed its memory limit"
    return f"ended with exit code {code}; 0 is success"


def _drain(pipe: IO[bytes], words: bytearray) -> None:
    """Keep the end of what the program says; a program that says very much must neither wait nor fill the memory."""
    while chunk := pipe.read1(65536):  # type: ignore[attr-defined]
        words += chunk
        del words[:-_TAIL]


def _result(out: Directory) -> tuple[list[object], list[str]]:
    if not out.has(RESULT):
        return [], [f"It wrote no {RESULT}."]
    return findings_of_result(parse(out.read(RESULT, MOST_BYTES), RESULT))
