"""From received files to complete studies: notes what comes, and queues a job for each study of which all has come.

The receiver says what came; it is noted at the next tick, and a tick costs as much as came since the last one and as studies are
open, however much was received before. At its start the dispatcher looks through the received files for what a process that was
killed had not noted.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import sqlalchemy as sa

from casewise.exchange.received import Instance, Spool
from casewise.exchange.settings import DicomSettings
from casewise.server.dicom.arrivals import Arrivals
from casewise.server.dicom.completeness import Series, is_complete
from casewise.server.store import Store, meta

_MARK = "dicom_noted"  # in the store: until when all that came is noted
_MARK_SECONDS = 30.0
_MARGIN_SECONDS = 60.0  # what a clock may be set back
_MOST_WAITING = 50_000  # objects that came and are not noted, as the store does not answer; more are looked for in the files
_ROOM_SECONDS = 60.0  # how often what could not be taken in for want of room is tried again
_AT_ONCE = 500

Expected = Callable[[str, float], "dict[str, int] | None"]


class Dispatcher:
    """``sending`` gives the studies of which an open association has sent something.

    expected : gives what the source has of a study, by series, asked for after a moment; None where nothing is known.
    """

    def __init__(
        self,
        store: Store,
        spool: Spool,
        settings: DicomSettings,
        *,
        expected: Expected | None = None,
    ) -> None:
        self._store, self._spool, self._times = store, spool, settings.receive
        self._expected = expected
        self.sending: Callable[[], Collection[str]] = frozenset
        self._arrivals = Arrivals(store, settings)
        self._came: deque[Instance] = deque()
        self._overflow = threading.Event()
        self._noting = threading.Lock()
        self._started = time.time()
        self._looked_through = False
        self._marked = self._tried = float("-inf")

    def arrived(self, instance: Instance) -> None:
        """An object is on disk; called by the receiver, in any thread."""
        if len(self._came) < _MOST_WAITING:
            self._came.append(instance)
        else:
            self._overflow.set()

    def tick(self) -> None:
        """Note what came, and queue what is complete. What could not be noted is tried again by the next call."""
        if not self._looked_through:
            self.look_through()
            self._spool.tidy()
        sending = set(self.sending())  # asked before: what an association that has ended sent is among what came
        self.note()
        for study, rows in self._arrivals.receiving().items():
            is_so = partial(self._is_complete, sending=study in sending, expected=self._ask(study, rows))
            if is_so(rows):
                self._arrivals.complete(study, is_so)
        if time.monotonic() - self._tried > _ROOM_SECONDS:
            self._tried = time.monotonic()
            self._arrivals.queue_complete(waiting_for_room=True)

    def note(self) -> None:
        """Note what came; any thread may call this. Raises what the store raises; nothing is lost."""
        with self._noting:
            self._note()

    def held(self, objects: Sequence[tuple[str, str]]) -> set[str]:
        """Which of these (SOP class, SOP instance) UIDs were received and are on disk: their instance UIDs."""
        self.note()
        return self._arrivals.held(objects)

    def _note(self) -> None:
        until = time.time()
        while self._came:
            part = [self._came.popleft() for _ in range(min(_AT_ONCE, len(self._came)))]
            try:
                self._arrivals.note(part, time.time())
            except BaseException:
                self._came.extendleft(reversed(part))
                raise
        if self._overflow.is_set():
            self._overflow.clear()
            self.look_through()
        elif time.monotonic() - self._marked > _MARK_SECONDS:
            self._marked = time.monotonic()
            self._mark(until)

    def look_through(self) -> None:
        """Note what lies among the received files and is not noted, and queue what was complete and has no job."""
        noted = self._noted_until() - _MARGIN_SECONDS
        every = self._spool.series()
        for first in range(0, len(every), _AT_ONCE):
            part = every[first : first + _AT_ONCE]
            settled = self._arrivals.settled(part)
            for series in part:
                if series not in settled or self._changed(series) >= noted:
                    self._arrivals.note(list(self._spool.instances(series)))
        self._arrivals.queue_complete()
        self._looked_through = True

    def _changed(self, series: str) -> float:
        with suppress(OSError):
            return os.stat(self._spool.folder / series).st_mtime  # noqa: PTH116 - one call for each of very many
        return float("inf")

    def _is_complete(self, rows: Sequence[sa.Row[Any]], *, sending: bool, expected: dict[str, int] | None) -> bool:
        series = [
            Series(row.series_uid, row.modality, row.instances, row.first, row.last, row.state == "receiving") for row in rows
        ]
        return is_complete(series, self._times, time.time(), sending=sending, expected=expected, since=self._started)

    def _ask(self, study: str, rows: Sequence[sa.Row[Any]]) -> dict[str, int] | None:
        if self._expected is None:
            return None
        found = self._expected(study, max(row.last for row in rows))
        new = {
            row.series_uid: found[row.series_uid]
            for row in rows
            if found and row.expected != found.get(row.series_uid, row.expected)
        }
        if new:
            self._arrivals.set_expected(new)
        return found

    def _noted_until(self) -> float:
        with self._store.read() as connection:
            value = connection.scalar(sa.select(meta.c.value).where(meta.c.name == _MARK))
        return float(value) if value else float("-inf")

    def _mark(self, moment: float) -> None:
        with self._store.write() as connection:
            changed = connection.execute(sa.update(meta).where(meta.c.name == _MARK).values(value=repr(moment)))
            if not changed.rowcount:
                connection.execute(sa.insert(meta).values(name=_MARK, value=repr(moment)))
