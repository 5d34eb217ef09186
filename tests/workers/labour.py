"""Work for workers to be tried with: it leaves a line in a file for all that it does, and can be made to end badly."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from casewise.errors import UsageError
from casewise.workers.contract import Do, Make

POISON, MISTAKE, BAD, ENDLESS = -1, -2, -3, -4  # kill their worker, raise what they should not, raise a sentence, never end


@dataclass(frozen=True)
class Squares:
    """Squares numbers, ``seconds`` each. Into ``folder`` go the process's number when it begins, and each item when it is done."""

    folder: Path
    seconds: float = 0.0
    refuse: bool = False
    die: bool = False

    @contextmanager
    def __call__(self) -> Iterator[Do[int, int]]:
        if self.refuse:
            raise UsageError("There is no such model; name another.")
        if self.die:
            os._exit(7)
        self._note("workers", os.getpid())
        yield self._squares

    def _squares(self, numbers: Sequence[int]) -> Iterator[int]:
        for number in numbers:
            if number == POISON:
                self._note("poisoned", os.getpid())
                os.kill(os.getpid(), signal.SIGKILL)
            if number == MISTAKE:
                raise LookupError("Doe^Jane")
            if number == ENDLESS:
                self._note("endless", os.getpid())
                threading.Event().wait()
            if number == BAD:
                raise UsageError("This one cannot be squared; leave it out.")
            time.sleep(self.seconds)
            self._note("done", number)
            yield number * number

    def _note(self, file: str, number: int) -> None:
        with (self.folder / file).open("a") as lines:
            lines.write(f"{number}\n")

    def noted(self, file: str) -> list[int]:
        path = self.folder / file
        return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


@dataclass(frozen=True)
class HangsWith:
    """Does what ``make`` does, and hangs with items in whose text ``word`` is."""

    make: Make[Any, Any]
    word: str

    @contextmanager
    def __call__(self) -> Iterator[Do[Any, Any]]:
        with self.make() as do:

            def hang(items: Sequence[Any]) -> Iterator[Any]:
                for item in items:
                    if self.word in str(item):
                        threading.Event().wait()
                    yield from do([item])

            yield hang
