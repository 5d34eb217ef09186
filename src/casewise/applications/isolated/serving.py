"""The worker's side of its two pipes: requests in by lines, answers out; and the one way in which an answer fails."""

from __future__ import annotations

import errno
import json
import os
import queue
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import IO

from casewise.applications.isolated.answers import MOST_BYTES
from casewise.applications.outcome import ApplicationError
from casewise.errors import CasewiseError

_TAIL = 64 * 1024  # characters of a traceback that are kept


class Requests:
    """Lines from the parent. When it is gone, this process ends, whatever it does at that moment."""

    def __init__(self) -> None:
        """Takes stdin and stdout for the parent: whatever the application prints goes to stderr."""
        self._lines: IO[str] = os.fdopen(os.dup(0), "r", encoding="utf-8")
        self.answers = os.dup(1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(2, 1)
        self._waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._receive, daemon=True).start()

    def next(self) -> str:
        """The next line; waits for it."""
        return self._waiting.get()

    def _receive(self) -> None:
        for line in self._lines:
            self._waiting.put(line)
        os._exit(0)  # its supervisor ends what it started


def guarded(body: Callable[[], Mapping[str, object]]) -> dict[str, object]:
    """What ``body`` gives, or ``{"failure": clause, "sound": whether the process may go on, "log": traceback}``."""
    try:
        return dict(body())
    except ApplicationError as error:
        return {"failure": str(error), "sound": True, "log": error.log[-_TAIL:]}
    except CasewiseError as error:
        return {"failure": f"says: {error}", "sound": True}
    except MemoryError:
        return {"failure": "had not enough memory"}
    except BaseException as error:  # another's program may raise anything, SystemExit too
        return {"failure": _clause(error), "log": traceback.format_exc()[-_TAIL:]}


def dumped(answer: Mapping[str, object]) -> bytes:
    """JSON in one line of ASCII, or JSON that says why it is none."""
    try:
        text = json.dumps(answer)
    except (TypeError, ValueError, RecursionError) as error:
        text = json.dumps({"failure": f"returned a result that is not JSON: {str(error)[:200]}"})
    if len(text) > MOST_BYTES:
        text = json.dumps({"failure": f"returned a result of {len(text):,} bytes; allowed are {MOST_BYTES:,}"})
    return text.encode("ascii")


def _clause(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        place = f" {error.filename}" if error.filename else ""
        return f"tried to use{place}, which it may not; an application writes in its own folder only"
    first = " ".join(str(error).split())[:200]
    return f"failed with {type(error).__name__}{': ' if first else ''}{first}"
