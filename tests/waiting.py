"""Waiting for what another process, thread or browser does: how long is no part of what is tested."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

SECONDS = 300.0  # on a machine that is busy with other things
Found = TypeVar("Found")


def until(reached: Callable[[], Found], seconds: float = SECONDS) -> Found:
    """Ask until the answer is true; the answer."""
    end = time.monotonic() + seconds
    while not (found := reached()):
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.05)
    return found
