"""Workers that are actors of a Ray cluster. Imports Ray: imported by whoever asks for it alone.

Chunks go to actors and outcomes come back by streaming generators, an object for each few outcomes; pixels never pass through the
object store. Actors that die are replaced here rather than by Ray, which would begin their chunk from its start.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Generic

import psutil
import ray
from ray import exceptions

from casewise import __version__
from casewise.errors import CasewiseError, UsageError
from casewise.workers.contract import Do, Item, Lost, Make, Outcome
from casewise.workers.dispatch import Answered, Died, Dispatch, Event, Ready, Refused
from casewise.workers.working import Surroundings, answers

_STORE = 100 * 2**20  # bytes: of small JSON, never of pixels; by default Ray takes 30 % of the memory
_GRACE = 5.0  # seconds in which an actor that is to end may put its things away
_PATIENCE = 600.0  # seconds in which the first actor is to find a place
_VARIABLE = "RAY_ADDRESS"
_HOME = Path("/tmp")  # noqa: S108 - of Ray's own files, sockets among them, whose paths must be short
_PREFIX = "casewise-ray-"


class OnRay:
    """``size`` actors with one CPU each: by default as many as the cluster has CPUs.

    address : HOST:PORT of the head of a cluster that this machine has joined. None: the cluster that ``RAY_ADDRESS`` names, else a
    Ray of this machine's own, which ends with the work. gpus : that each actor is given, or a part of one.
    limit : seconds that an item may take; None: any.
    Raises CasewiseError, one sentence, where the cluster does not answer.
    """

    def __init__(self, address: str | None = None, size: int | None = None, gpus: float = 0, limit: float | None = None) -> None:
        if size is not None and size < 1:
            raise UsageError(f"{size} workers are not possible; give 1 or more.")
        self._address = address or os.environ.get(_VARIABLE)
        self._asked, self._gpus, self._limit = size, gpus, limit
        self._stack = ExitStack()
        self._own = not ray.is_initialized()
        if self._own:
            self._connect()

    @property
    def size(self) -> int:
        return self._asked or max(1, int(ray.cluster_resources().get("CPU", 1)))

    def run(self, chunks: Sequence[Sequence[Item]], make: Make[Item, Outcome]) -> Generator[tuple[Item, Outcome | Lost]]:
        return Dispatch(chunks, _Pool(make, self._gpus), self.size, self._limit).run()

    def close(self) -> None:
        """Leave the cluster; one that was started for this ends."""
        self._stack.close()

    def _connect(self) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        settings: dict[str, Any] = {"address": self._address}
        if self._address is None:
            _forget_the_dead()
            folder = tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_HOME)
            self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
            settings = {"address": "local", "include_dashboard": False, "object_store_memory": _STORE, "_temp_dir": folder}
            settings["num_cpus"] = self._asked or os.cpu_count()
        self._stack.callback(ray.shutdown)
        try:
            ray.init(**settings, logging_level=logging.ERROR, log_to_driver=False)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            self._stack.close()
            where = self._address or "this machine"
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            raise CasewiseError(
                f"Ray on {where} cannot be used: {reason}. All machines need the same Python and the same Ray "
                f"(here Python {sys.version.split()[0]}, Ray {ray.__version__}); see docs/how-to/many-images.md."
            ) from error


class _Actor(Generic[Item, Outcome]):
    """One worker, in a process that Ray started."""

    def __init__(self, make: Make[Item, Outcome], surroundings: Surroundings, version: str) -> None:
        self._make, self._surroundings, self._version = make, surroundings, version
        self._stack = ExitStack()
        self._do: Do[Item, Outcome] | None = None

    def begin(self) -> CasewiseError | None:
        try:
            if self._version != __version__:
                machine = os.uname().nodename
                raise CasewiseError(f"{machine} has casewise {__version__}, and this call {self._version}; install the same.")
            self._surroundings.enter()
            self._do = self._stack.enter_context(self._make())
        except CasewiseError as error:
            return error
        return None

    def do(self, chunk: Sequence[Item]) -> Generator[tuple[Outcome | Lost, ...]]:
        if self._do is not None:
            yield from answers(self._do, chunk)

    def end(self) -> None:
        self._stack.close()


class _Pool(Generic[Item, Outcome]):
    def __init__(self, make: Make[Item, Outcome], gpus: float) -> None:
        self._class = ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=0, max_task_retries=0)(_Actor)
        self._make, self._surroundings = make, Surroundings.here()
        self._actors: dict[int, Any] = {}
        self._awaited: dict[int, Any] = {}  # worker → the reference of its start, or the generator of its outcomes
        self._began = False

    def start(self, worker: int) -> None:
        self._actors[worker] = actor = self._class.remote(self._make, self._surroundings, __version__)
        self._awaited[worker] = actor.begin.remote()

    def give(self, worker: int, chunk: Sequence[Item]) -> None:
        self._awaited[worker] = self._actors[worker].do.remote(list(chunk))

    def wait(self, seconds: float | None = None) -> Event[Outcome] | None:
        ready, _ = ray.wait(list(self._awaited.values()), num_returns=1, timeout=seconds if self._began else _PATIENCE)
        if not ready and self._began:
            return None
        if not ready:
            raise CasewiseError(
                f"Ray found no place for a worker within {_PATIENCE / 60:.0f} minutes; "
                "wait until its CPUs are free, or ask for less (`ray status` shows what it has)."
            )
        self._began = True
        worker = next(number for number, awaited in self._awaited.items() if awaited is ready[0])
        try:
            return self._started(worker) if isinstance(ready[0], ray.ObjectRef) else self._answered(worker)
        except exceptions.RayError as error:
            self._forget(worker)
            return Died(worker, _clause(error))

    def end(self, worker: int) -> None:
        self._forget(worker)

    def close(self) -> None:
        with suppress(exceptions.RayError):
            ends = [actor.end.remote() for worker, actor in self._actors.items() if worker not in self._awaited]
            if ends:
                ray.wait(ends, num_returns=len(ends), timeout=_GRACE)
        for worker in list(self._actors):
            self._forget(worker)

    def _started(self, worker: int) -> Event[Outcome]:
        refused = ray.get(self._awaited[worker])
        del self._awaited[worker]
        return Ready(worker) if refused is None else Refused(refused)

    def _answered(self, worker: int) -> Event[Outcome]:
        try:
            return Answered(worker, ray.get(next(self._awaited[worker])))
        except StopIteration:
            del self._awaited[worker]
            return Answered(worker, (), through=True)

    def _forget(self, worker: int) -> None:
        self._awaited.pop(worker, None)
        with suppress(exceptions.RayError):
            ray.kill(self._actors.pop(worker), no_restart=True)


def _forget_the_dead() -> None:
    """Remove what is left of a Ray whose caller was killed."""
    for folder in _HOME.glob(f"{_PREFIX}*"):
        number = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if number.isdigit() and not psutil.pid_exists(int(number)):
            shutil.rmtree(folder, ignore_errors=True)


def _clause(error: Exception) -> str:
    """How an actor ended, without Ray's page of explanations."""
    if isinstance(error, exceptions.OutOfMemoryError):
        return "its machine ran out of memory"
    return "the worker's process or its machine ended" if isinstance(error, exceptions.RayActorError) else type(error).__name__
