"""Memory that rounds free and need again at once: kept by the process instead of being given back to the system each time."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

# Names of glibc's mallopt, and the values that are set.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_KEPT = 256 << 20  # bytes that are free and are kept at most
_LARGE = 128 << 20  # bytes from which on a block is given back at once: images


def keep_freed() -> None:
    """Let the allocator of this process reuse what a round's tensors leave.

    By default glibc maps each large tensor anew and clears it page by page, a third of the time of a round in a volume, and every
    thread keeps memory of its own. Does nothing with other C libraries.
    """
    if not sys.platform.startswith("linux"):
        return
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        for name, value in ((_ARENA_MAX, 1), (_MMAP_THRESHOLD, _LARGE), (_TRIM_THRESHOLD, _KEPT)):
            library.mallopt(name, value)
