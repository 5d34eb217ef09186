"""Workers that are processes of this machine."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import Pipe, get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import Generic

from casewise.errors import CasewiseError, UsageError
from casewise.threads import ONE_THREAD
from casewise.workers.contract import Item, Lost, Make, Outcome
from casewise.workers.dispatch import Answered, Died, Dispatch, Event, Ready, Refused
from casewise.workers.working import Surroundings, answers

_GRACE = 5.0  # seconds in which a worker that is to end may put its things away


class Processes:
    """``size`` processes on this machine, each with one thread of arithmetic. limit : seconds that an item may take; None: any.

    The program's main module must be importable without effect, as for every process that Python spawns.
    """

    def __init__(self, size: int, limit: float | None = None) -> None:
        if size < 1:
            raise UsageError(f"{size} workers are not possible; give 1 or more.")
        self.size, self._limit = size, limit

    def run(self, chunks: Sequence[Sequence[Item]], make: Make[Item, Outcome]) -> Generator[tuple[Item, Outcome | Lost]]:
        return Dispatch(chunks, _Pool(make), self.size, self._limit).run()


@dataclass(frozen=True)
class _Worker:
    process: SpawnProcess
    pipe: Connection


class _Pool(Generic[Item, Outcome]):
    """The messages of a worker are events, or ``None`` where its chunk is through; to it go chunks."""

    def __init__(self, make: Make[Item, Outcome]) -> None:
        self._make, self._surroundings = make, Surroundings.here()
        self._workers: dict[int, _Worker] = {}

    def start(self, worker: int) -> None:
        ours, theirs = Pipe()
        process = get_context("spawn").Process(
            target=_serve, args=(worker, theirs, self._make, self._surroundings), name=f"casewise worker {worker}"
        )
        with _variables(ONE_THREAD):  # before its libraries are loaded
            process.start()
        theirs.close()  # so that its end is seen at ours
        self._workers[worker] = _Worker(process, ours)

    def give(self, worker: int, chunk: Sequence[Item]) -> None:
        with suppress(OSError):  # it has died, which `wait` says
            self._workers[worker].pipe.send(list(chunk))

    def wait(self, seconds: float | None = None) -> Event[Outcome] | None:
        ready = wait([one.pipe for one in self._workers.values()], seconds)
        if not ready:
            return None
        number, worker = next((number, one) for number, one in self._workers.items() if one.pipe in ready)
        try:
            event: Event[Outcome] = worker.pipe.recv()
            return event
        except (EOFError, OSError):
            return Died(number, self._removed(number))

    def end(self, worker: int) -> None:
        self._workers[worker].process.kill()
        self._removed(worker)

    def close(self) -> None:
        for worker in self._workers.values():
            worker.process.terminate()
        until = time.monotonic() + _GRACE
        for number in list(self._workers):
            self._workers[number].process.join(max(0.0, until - time.monotonic()))
            self._removed(number)

    def _removed(self, number: int) -> str:
        """Ends what is left of a worker, and says how it ended."""
        worker = self._workers.pop(number)
        worker.pipe.close()
        worker.process.join(0.5)  # its pipe may close a moment before it ends
        worker.process.kill()
        worker.process.join()
        code = worker.process.exitcode
        worker.process.close()
        return f"killed by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"


def _serve(number: int, pipe: Connection, make: Make[Item, Outcome], surroundings: Surroundings) -> None:
    threading.Thread(target=_exit_with_the_caller, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the caller ends its workers
    signal.signal(signal.SIGTERM, _leave)
    os.dup2(2, 1)  # the caller's standard output is for its answer alone
    sys.stdout = sys.stderr
    try:
        surroundings.enter()
        with make() as do:
            pipe.send(Ready(number))
            while True:
                for outcomes in answers(do, pipe.recv()):
                    pipe.send(Answered(number, outcomes))
                pipe.send(Answered(number, (), through=True))
    except CasewiseError as error:
        pipe.send(Refused(error))
    except (EOFError, BrokenPipeError):
        return


def _leave(signum: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(0)


def _exit_with_the_caller() -> None:
    """Without this, a worker would work on after its caller was killed."""
    caller = parent_process()
    if caller is not None:
        wait([caller.sentinel])
        os._exit(1)


@contextmanager
def _variables(values: dict[str, str]) -> Iterator[None]:
    """With these in the environment of processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
