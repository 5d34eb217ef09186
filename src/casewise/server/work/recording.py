"""What an analysis came to, recorded in the archive's catalogue, and queued for the systems that it is sent to."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any

from casewise.applications.decision import Decision, Delivery
from casewise.exchange.settings import DicomSettings
from casewise.formats.found import Kind
from casewise.pipeline.recorded import job_of, recorded, skipped
from casewise.pipeline.result_batches import ResultBatches
from casewise.result import Result
from casewise.server.dicom.delivery import queue
from casewise.server.work.context import Work

_PART = "Analysed as a part of its examination"


class Recording:
    """A context manager: some results wait for others, and are recorded when the block ends, or raises.

    networked : whether the images came by the network; their results go where ``dicom.toml`` says, if no rule says another.
    """

    def __init__(self, work: Work, networked: bool) -> None:
        self._work = work
        self._batches = ResultBatches(work.archive)
        self._usual = DicomSettings.load(work.archive.folder).results.send if networked else ()

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._work.why == "lost":  # another worker has the job, and knows nothing of what waits
            self._batches.forget()
        self._batches.__exit__(kind, error, trace)

    def result(self, key: str, result: Result, parts: Collection[str] = ()) -> None:
        """Parts : keys of the other sequences, of an examination's reference."""
        archive = self._work.archive
        document = recorded(result, archive.folder, **self._about(), parts=sorted(parts))
        self._batches.add(document, key, partial(self._send, key, document))

    def skipped(self, key: str, decision: Decision) -> None:
        """Say at a case that has no result why."""
        self._say(key, skipped(decision))

    def part(self, key: str, reference: str) -> None:
        """Say the same at a case that is a sequence of an examination. reference : what that one is called on pages."""
        note = f"Its findings stand at the examination's reference, {reference}."
        self._say(key, {"headline": _PART, "notes": [note], "decision": {"send": []}})

    def done(self, keys: Sequence[str]) -> list[str]:
        """The cases that have a result of this job, or are part of an examination that has one."""
        found: dict[str, None] = {}
        for key in keys:
            for data in self._work.archive.results(key):
                if job_of(data) == self._work.job.id:
                    parts = data.get("parts")
                    found |= dict.fromkeys([key, *(parts if isinstance(parts, list) else ())])
        return [key for key in keys if key in found]

    def send_again(self, key: str) -> None:
        """Of a case that has one: queue its sending, which a worker that was killed may not have done. Twice does no harm."""
        newest = self._work.archive.newest_result(key)
        if newest is not None and job_of(newest[1]) == self._work.job.id:
            self._send(key, newest[1], newest[0])

    def _send(self, key: str, document: Mapping[str, Any], number: int) -> None:
        deliveries = deliveries_of(document.get("decision"), self._usual)
        if not deliveries or any(record.kind != Kind.DICOM.value for record in self._work.archive.images([key])):
            return
        by_objects: dict[tuple[Any, ...] | None, list[str]] = {}
        for one in deliveries:
            by_objects.setdefault(one.objects, []).append(one.target)
        for objects, targets in by_objects.items():
            priority = self._work.job.priority + 1  # before the images that wait to be analysed
            queue(self._work.jobs, key, targets, objects, number, self._work.created_by, priority)

    def _say(self, key: str, document: Mapping[str, object]) -> None:
        if self._work.archive.newest_result(key) is None:
            self._batches.add({**document, **self._about()}, key)

    def _about(self) -> dict[str, object]:
        return {"job": self._work.job.id, "created": time.time(), "by": self._work.created_by}


def deliveries_of(decision: object, usual: Sequence[str]) -> list[Delivery]:
    """Where a result goes. decision : as it was recorded. usual : where no rule says another."""
    given = decision.get("send") if isinstance(decision, dict) else None
    if given is None:
        return [Delivery(target) for target in usual]
    return [Delivery(str(one["target"]), None if one["objects"] is None else tuple(one["objects"])) for one in given]
