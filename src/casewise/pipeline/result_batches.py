"""Results of an archive's images, recorded some at a time: a transaction of many costs little more than one of a single result."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType

from casewise.archive import Archive
from casewise.archive.columns import Written

MOST = 200  # results of a transaction
SECONDS = 2.0  # and so long a result waits, at most
After = Callable[[int], object]


class ResultBatches:
    """A context manager; what still waits when its block ends, or raises, is recorded then.

    A result is recorded at once where the last were recorded ``SECONDS`` ago, else with those that come until then. A process that
    is killed has recorded all results but those of that time, and none of them half.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._lock = threading.RLock()
        self._waiting: list[tuple[Mapping[str, object] | Written, str, After]] = []
        self._recorded = float("-inf")
        self._timer: threading.Timer | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> ResultBatches:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.flush()

    def add(self, document: Mapping[str, object] | Written, key: str, after: After = lambda number: None) -> None:
        """Keep a result of the image of ``key``. after : called with its number when it is recorded, by this thread or another.

        Raises what recording the earlier ones raised, if that was not said yet.
        """
        with self._lock:
            self._waiting.append((document, key, after))
            if len(self._waiting) >= MOST or time.monotonic() - self._recorded >= SECONDS:
                self.flush()
            elif self._timer is None:
                self._timer = threading.Timer(SECONDS, self._late)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Record what waits."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            numbers = self._archive.record_results([(document, key) for document, key, _ in self._waiting])
            recorded, self._waiting = self._waiting, []
            self._recorded = time.monotonic()
            for number, (_, _, after) in zip(numbers, recorded, strict=True):
                after(number)

    def forget(self) -> None:
        """Record nothing of what waits: another process does the same work again."""
        with self._lock:
            self._waiting.clear()

    def _late(self) -> None:
        """No other result came in time."""
        try:
            self.flush()
        except Exception as error:  # is raised where the next result comes, or at the end
            self._error = error
