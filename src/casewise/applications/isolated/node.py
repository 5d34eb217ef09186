"""Runs an application that is a DICOM node: the image goes there by C-STORE, its results come back by C-STORE."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from casewise.applications.isolated.node_files import files_to_send
from casewise.applications.isolated.node_listener import Listener, tls_of
from casewise.applications.isolated.node_objects import OTHER, Gathered, Received
from casewise.applications.isolated.task import Runs, Task
from casewise.applications.node_run import NodeRun
from casewise.applications.outcome import ApplicationError, refused
from casewise.exchange.sending import send

_LOOK = 0.1  # seconds between two looks at what has come
_SHARE, _LONGEST = 0.2, 10.0  # of the time limit, and at most so many seconds, are left for reading the results
_MOST_BYTES, _MOST_OBJECTS = 4 << 30, 2000
_NAMES = {"seg": "segmentation", "sr": "structured report", "capture": "picture"}


class Arrivals(Protocol):
    """Where results arrive."""

    def busy(self) -> bool: ...

    def files(self, most: int, most_bytes: int) -> list[Path]: ...


def started(run: Mapping[str, Any], start: Mapping[str, Any]) -> Runs:
    """A node that is called anew for each image; casewise listens for its results while it waits for them, and not before.

    Raises ApplicationError where the libraries for it are not installed.
    """
    try:
        import pynetdicom  # noqa: F401
    except ImportError as error:
        raise ApplicationError('cannot be reached: it needs pynetdicom; install it by pip install "casewise[server]"') from error
    from casewise.applications.isolated.node_findings import findings_of

    node = NodeRun(**{**run, "results": tuple(run["results"])})
    limit = float(start["seconds"])
    waits = limit - min(_SHARE * limit, _LONGEST)

    def call(task: Task) -> tuple[list[object], list[str]]:
        until = time.monotonic() + waits
        sent = files_to_send(task, node.anonymous)
        with Listener(node, task.folder / "received", until) as listener:
            _send(node, sent.files)
            results, notes = _answers(node, Gathered(sent), listener, until, waits)
        found, more = findings_of(results, task.image(), sent.instances, task.out, start["detects"])
        return found, [*notes, *more]

    return call


def _answers(node: NodeRun, gathered: Gathered, arrivals: Arrivals, until: float, waits: float) -> tuple[list[Received], list[str]]:
    """(results of the image, notes on what was refused), once the results are complete."""
    came = quiet_since = time.monotonic()
    while True:
        busy = arrivals.busy()  # before the look: what comes between the two is found by the next one
        now = time.monotonic()
        if gathered.look(arrivals.files(_MOST_OBJECTS, _MOST_BYTES)):
            came = now
        quiet_since = now if busy or came == now else quiet_since
        results = gathered.results()
        if _complete(node, results, busy, now - quiet_since):
            return results, gathered.refusals()
        if now >= until:
            if results and not node.results and now - came >= node.quiet_seconds:
                note = "Its association was still open when its time was over; what had come by then is taken."
                return results, [note, *gathered.refusals()]
            raise _too_late(node, results, gathered.refusals(), waits)
        time.sleep(_LOOK)


def _complete(node: NodeRun, results: Sequence[Received], busy: bool, quiet: float) -> bool:
    if busy or not results:
        return False
    if node.results:
        return set(node.results) <= _kinds(results)
    return quiet >= node.quiet_seconds


def _kinds(results: Sequence[Received]) -> set[str]:
    return {found.kind for found in results}


def _too_late(node: NodeRun, results: Sequence[Received], refusals: Sequence[str], waits: float) -> ApplicationError:
    lacking = [_NAMES[kind] for kind in node.results if kind not in _kinds(results)]
    if not results:
        reason = f"sent no result of this image within {waits:g} s{''.join(f'. {one}' for one in refusals).rstrip('.')}"
    elif lacking:
        came = ", ".join(sorted({_NAMES.get(found.kind, OTHER) for found in results}))
        reason = f"sent a {came} but no {' and no '.join(lacking)} within {waits:g} s, so that its results are not complete"
    else:
        reason = f"was still sending after {waits:g} s, so that its results are not complete"
    return refused(reason)


def _send(node: NodeRun, files: Sequence[Path]) -> None:
    peer = msgspec.structs.replace(node.peer, tls=tls_of(node))
    lost = [outcome for outcome in send(peer, files, node.reply_title) if outcome.state != "accepted"]
    if lost:
        count = f"{len(lost)} of {len(files)} files" if len(files) > 1 else "the image"
        raise refused(f"did not take {count}: {lost[0].message}")
