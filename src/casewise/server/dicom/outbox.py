"""The sender: takes due objects from the outbox and sends them, each target in a thread of its own.

So a target that is away or slow holds up no other, and one that is away is called once in a while, whatever waits for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from casewise.errors import CasewiseError
from casewise.exchange.node import Node, Peer
from casewise.exchange.outcomes import Outcome
from casewise.exchange.sending import sent
from casewise.exchange.settings import DicomSettings
from casewise.server.dicom.commitments import Commitments
from casewise.server.dicom.outbox_rows import LEASE_SECONDS, Outbox, Row
from casewise.server.store import Store

_log = logging.getLogger("casewise.outbox")
_STEP = 0.5  # seconds between two looks at the outbox
_ENDING = 15.0  # seconds that an object under way is given when the sender is to stop
_PAUSE = 30.0  # seconds for which a target that is away is left alone, where the settings name none


@dataclass(eq=False)
class _Batch:
    """Rows that one thread sends. The lease is extended by another thread, so both take the lock."""

    rows: dict[Path, Row]
    lease_until: float
    extended: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Sender:
    """Sends what is due until it is told to stop.

    folder : the archive's. settings : of the network. lease : seconds, after which another one sends the rows of a killed one.
    """

    def __init__(self, store: Store, folder: Path, settings: DicomSettings, *, lease: float = LEASE_SECONDS) -> None:
        self._outbox = Outbox(store, settings.outbox.retry_seconds, lease=lease)
        self._commitments = Commitments(self._outbox, folder, settings)
        self._folder, self._settings = folder, settings
        self._pause = settings.outbox.retry_seconds[0] if settings.outbox.retry_seconds else _PAUSE
        self._threads: dict[str, threading.Thread] = {}  # by target
        self._batches: dict[str, _Batch] = {}
        self._quiet_until: dict[str, float] = {}
        self._leaving = threading.Event()

    def run(self, stop: threading.Event) -> None:
        """Until ``stop`` is set. Objects under way are given some seconds then; the next sender sends what is not settled."""
        while not stop.wait(_STEP):
            try:
                self._look()
                self._extend()
            except Exception as error:  # the database may be away for a while
                _log.error("The outbox cannot be read: %s.", type(error).__name__)
        self._leaving.set()
        until = time.monotonic() + _ENDING
        for thread in list(self._threads.values()):
            thread.join(max(0.0, until - time.monotonic()))

    def reported(self, transaction_uid: str, held: Sequence[str], missing: Sequence[str]) -> None:
        """A target's report on storage commitment, which came to the receiver: SOP instance UIDs that it keeps, and others."""
        self._commitments.reported(transaction_uid, held, missing)

    def _look(self) -> None:
        for target in {*self._outbox.due(), *(row.target for row in self._commitments.late())}:
            busy = target in self._threads and self._threads[target].is_alive()
            if not busy and time.monotonic() >= self._quiet_until.get(target, 0.0):
                thread = threading.Thread(target=self._safely, args=(target,), name=f"send to {target}", daemon=True)
                self._threads[target] = thread
                thread.start()

    def _extend(self) -> None:
        for batch in list(self._batches.values()):
            with batch.lock:
                if batch.rows and time.monotonic() - batch.extended > self._outbox.lease / 3:
                    batch.extended = time.monotonic()
                    batch.lease_until = self._outbox.extend([row.id for row in batch.rows.values()], batch.lease_until)

    def _safely(self, target: str) -> None:
        try:
            while self._send(target) and not self._leaving.is_set():
                pass
            late = [row for row in self._commitments.late() if row.target == target]
            if late:
                self._commitments.look_up(target, late)
        except Exception as error:  # no word of it: it may quote a data set
            _log.error("Sending to %s ended early: %s.", target, type(error).__name__)
        finally:
            self._batches.pop(target, None)

    def _send(self, target: str) -> bool:
        """Send what is due for a target; whether there may be more to send now."""
        rows = self._outbox.claim(target)
        if not rows:
            return False
        batch = self._batches[target] = _Batch({self._folder / row.path: row for row in rows}, rows[0].lease_until or 0.0)
        peer = self._peer(target)
        transaction = _new_uid() if isinstance(peer, Node) and peer.commitment else None
        away, taken = True, []
        with closing(self._outcomes(peer, list(batch.rows))) as outcomes:
            for outcome in outcomes:
                away = away and outcome.state == "failed" and not outcome.tried
                with batch.lock:
                    row = batch.rows.pop(outcome.file)
                    self._settle(row, batch.lease_until, outcome, away, transaction)
                taken += [row] if outcome.state == "accepted" else []
                if self._leaving.is_set():
                    break
        with batch.lock:
            for row in batch.rows.values():
                self._outbox.put_back(row, batch.lease_until, "", 0.0)
            batch.rows.clear()
        if taken and transaction is not None and isinstance(peer, Node):
            self._commitments.ask(peer, taken, transaction)
        if away:
            self._quiet_until[target] = time.monotonic() + self._pause
        return not away

    def _peer(self, target: str) -> Peer | str:
        """A target by its name in the settings; one sentence where it is there no more."""
        try:
            return self._settings.peer(target)
        except CasewiseError as error:
            return str(error)

    def _outcomes(self, peer: Peer | str, files: Sequence[Path]) -> Generator[Outcome]:
        if isinstance(peer, str):
            yield from (Outcome(file, "failed", peer, tried=False) for file in files)
        else:
            yield from sent(peer, files, self._settings.ae_title)

    def _settle(self, row: Row, lease_until: float, outcome: Outcome, away: bool, transaction: str | None) -> None:
        if outcome.state == "accepted":
            patience = self._settings.outbox.commitment_seconds
            self._outbox.sent(row, lease_until, outcome.message, transaction, patience)
        elif outcome.state == "refused":
            self._outbox.refused(row, lease_until, outcome.message)
        elif outcome.tried or away:
            self._outbox.failed(row, lease_until, outcome.message)
        else:  # another object made the target break off; this one's turn comes before that one's
            self._outbox.put_back(row, lease_until, outcome.message, self._pause)


def _new_uid() -> str:
    from pydicom.uid import generate_uid

    return str(generate_uid())
