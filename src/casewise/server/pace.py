"""How many images an hour are analysed, whoever does it: workers of the server, or a call of ``casewise analyze --all``."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

_WINDOW = 3600.0  # seconds that are looked back on
_APART = 30.0  # seconds between two readings, at least


class Pace:
    """recorded : how many results the archive was ever given. clock : seconds, of any start.

    It counts when it is asked: over the last hour, over the time since the server began, or since it was asked last, if that is
    longer ago.
    """

    def __init__(self, recorded: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._recorded, self._clock = recorded, clock
        self._lock = threading.Lock()
        self._readings = deque([(clock(), recorded())])

    def an_hour(self) -> float | None:
        """Images an hour; None in the first half minute."""
        with self._lock:
            now, count = self._clock(), self._recorded()
            if now - self._readings[-1][0] >= _APART:
                self._readings.append((now, count))
            while len(self._readings) > 1 and now - self._readings[1][0] >= _WINDOW:
                self._readings.popleft()
            since, before = self._readings[0]
            return None if now - since < _APART else max(0, count - before) * 3600 / (now - since)
