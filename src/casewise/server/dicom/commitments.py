"""Whether targets keep what they were sent: storage commitment, and a question where its report does not come."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from casewise.errors import CasewiseError
from casewise.exchange.commitment import ask
from casewise.exchange.node import Node
from casewise.exchange.query import Finder
from casewise.exchange.settings import DicomSettings
from casewise.formats.dicom.file import dataset_of
from casewise.server.dicom.outbox_rows import Outbox, Row

_log = logging.getLogger("casewise.outbox")
_NOT_KEPT = "{} took the object, and reports that it does not have it."
_NOT_FOUND = "{} took the object, did not report on storage commitment, and does not have it."


class Commitments:
    """Of the outbox's sent rows.

    folder : the archive's. settings : of the network; ``outbox.commitment_seconds`` is how long a report is awaited.
    """

    def __init__(self, outbox: Outbox, folder: Path, settings: DicomSettings) -> None:
        self._outbox, self._folder, self._settings = outbox, folder, settings

    def ask(self, node: Node, rows: Sequence[Row], transaction_uid: str) -> None:
        """Ask a target to commit to storing rows that it took. Where it cannot be asked, its report is awaited all the same, and
        then the target is asked whether it has them.
        """
        objects = [(row.sop_class, row.sop_uid) for row in rows]
        try:
            ask(node, objects, transaction_uid, self._settings.ae_title, reported=self.reported)
        except CasewiseError as error:
            _log.warning("Storage commitment: %s", error)

    def reported(self, transaction_uid: str, held: Collection[str], missing: Collection[str]) -> None:
        """A target's report: the SOP instance UIDs of what it keeps, and of what it does not have."""
        for row in self._outbox.in_transaction(transaction_uid):
            if row.sop_uid in missing:
                self._outbox.lost(row, _NOT_KEPT.format(row.target))
            elif row.sop_uid in held:
                self._outbox.committed(row)

    def late(self) -> Sequence[Row]:
        """Rows whose report has not come in time."""
        return self._outbox.awaiting()

    def look_up(self, target: str, rows: Sequence[Row]) -> None:
        """Ask a target by C-FIND whether it has rows that it did not report on."""
        peer = self._settings.nodes.get(target)
        if peer is None:  # the settings changed since; what the target said when it took the object stands
            for row in rows:
                self._outbox.found(row)
            return
        try:
            with Finder(peer, self._settings.ae_title) as finder:
                self._look_up(finder, rows)
        except CasewiseError as error:
            _log.warning("%s", error)
            for row in rows:  # those that were settled stay as they are
                self._outbox.wait_longer(row, self._settings.outbox.commitment_seconds)

    def _look_up(self, finder: Finder, rows: Sequence[Row]) -> None:
        held: dict[tuple[str, str], set[str]] = {}  # by study and series
        for row in rows:
            try:
                header: Any = dataset_of(self._folder / row.path, pixels=False)
                place = (str(header.StudyInstanceUID), str(header.SeriesInstanceUID))
            except (CasewiseError, OSError, AttributeError):  # the file is gone, and nothing is left to send again
                self._outbox.found(row)
                continue
            if place not in held:
                held[place] = {one.uid for one in finder.instances(*place)}
            if row.sop_uid in held[place]:
                self._outbox.found(row)
            else:
                self._outbox.lost(row, _NOT_FOUND.format(row.target))
