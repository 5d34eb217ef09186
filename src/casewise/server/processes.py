"""What the processes have in common that a server starts: they end with it, and say what goes wrong on standard error."""

from __future__ import annotations

import logging
import os
import threading
import traceback
from collections.abc import Callable


def follow_parent_process(end: Callable[[], object]) -> None:
    """Call ``end`` once standard input is closed, as it is when the parent lets this process go, or dies in any way."""
    threading.Thread(target=_follow, args=(end,), daemon=True).start()


def _follow(end: Callable[[], object]) -> None:
    """The parent holds the other end of standard input, and never writes."""
    while os.read(0, 1):
        pass
    end()


def log_to_stderr() -> None:
    """What casewise says, and of libraries only warnings."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    logging.getLogger("casewise").setLevel(logging.INFO)


def where(error: BaseException) -> str:
    """Where an error occurred and of what kind it is. Not its text: one of a DICOM reader may quote a patient's name."""
    return "".join(traceback.format_tb(error.__traceback__)) + type(error).__name__
