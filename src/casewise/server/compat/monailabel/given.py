"""Which images clients were given of late, so that two people do not draw in one, and "next" means another one."""

from __future__ import annotations

import threading
import time

_KEPT_SECONDS = 1800  # for which an image is not given to others, nor to the same client again while there are others


class Given:
    """Who was given which image, and when; in memory: at worst two people see one image."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._given: dict[str, tuple[str, float]] = {}

    def free(self, keys: list[str], client: str) -> list[str]:
        """Those that nobody was given of late; else those that this client has seen already, but for the last."""
        now = time.monotonic()
        with self._lock:
            self._given = {key: one for key, one in self._given.items() if one[1] > now - _KEPT_SECONDS}
            fresh = [key for key in keys if key not in self._given]
            seen = sorted(
                (key for key in keys if self._given.get(key, ("", 0.0))[0] == client), key=lambda key: self._given[key][1]
            )
            return fresh or seen[:-1] or seen

    def give(self, key: str, client: str) -> None:
        with self._lock:
            self._given[key] = (client, time.monotonic())
