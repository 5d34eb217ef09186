"""How many instances the source has of a study: asked by C-FIND once nothing comes for a moment, in a thread of its own.

A source that passes on what it is still receiving itself has more later. So an answer counts only for what came before it was asked
for.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass

from casewise.errors import CasewiseError
from casewise.exchange.node import Node
from casewise.exchange.query import Finder

_PAUSE_SECONDS = 0.4  # without a new instance, before the source is asked
_AGAIN_SECONDS = 60.0  # after the source did not answer
_FORGET_SECONDS = 3600.0
_log = logging.getLogger("casewise.dicom")


@dataclass
class _Answer:
    asked: float  # seconds since 1970
    series: dict[str, int] | None


class Asking:
    """``node`` : the source. title : how casewise calls itself there."""

    def __init__(self, node: Node, title: str) -> None:
        self._node, self._title = node, title
        self._answers: dict[str, _Answer] = {}
        self._wanted: set[str] = set()
        self._lock = threading.Lock()
        self._quiet_until = 0.0

    def expected(self, study: str, last: float) -> dict[str, int] | None:
        """Series UID → instances, asked for after ``last``, when the newest instance came; None where it is not known yet."""
        with self._lock:
            known = self._answers.get(study)
            if known is not None and known.asked > last:
                return known.series
            if time.time() - last >= _PAUSE_SECONDS:
                self._wanted.add(study)
            return None

    def tick(self) -> None:
        """Ask what is wanted."""
        if time.monotonic() < self._quiet_until:
            return
        with self._lock:
            wanted, self._wanted = self._wanted, set()
            old = time.time() - _FORGET_SECONDS
            self._answers = {study: answer for study, answer in self._answers.items() if answer.asked > old}
        if not wanted:
            return
        try:
            with Finder(self._node, self._title) as finder:
                for study in wanted:
                    asked = time.time()
                    found = _numbers(finder, study)
                    with self._lock:
                        self._answers[study] = _Answer(asked, found)
        except CasewiseError as error:
            self._quiet_until = time.monotonic() + _AGAIN_SECONDS
            _log.warning("How many instances a study has is not known, so idle time decides: %s", error)


def _numbers(finder: Finder, study: str) -> dict[str, int] | None:
    """None where the source does not know the study, or cannot count one of its series."""
    found: dict[str, int] = {}
    for series in finder.series(study):
        count = series.instances
        if count is None:
            count = len(finder.instances(study, series.uid))
        if not count:
            return None
        found[series.uid] = count
    return found or None
