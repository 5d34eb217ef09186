"""C-MOVE: a DICOM node sends what is asked for to a receiver of one's own, by associations that it opens itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from casewise.exchange.association import associated
from casewise.exchange.node import Node
from casewise.exchange.quiet import quiet
from casewise.exchange.receiver import Receiver
from casewise.exchange.retrieve import ANSWER_SECONDS, MOVE, PLAIN, identifiers, outcome
from casewise.exchange.settings import DicomSettings
from casewise.exchange.taking import Taker


@dataclass(frozen=True)
class MoveTo:
    """Where one's own receiver listens while something is fetched: at the settings' host, and for their senders alone.

    The node must know one's title with this machine's address and this port.
    """

    settings: DicomSettings
    port: int


def move(node: Node, own_title: str, to: MoveTo, taker: Taker, uids: Sequence[str]) -> str | None:
    """As :func:`casewise.exchange.retrieve.get`. Raises UsageError where the port cannot be listened at."""
    from pynetdicom.presentation import build_context

    contexts = [build_context(MOVE, list(PLAIN))]
    settings = msgspec.structs.replace(to.settings, ae_title=own_title)
    receiver = Receiver(settings, taker, to.port, committed=lambda asked: set())
    receiver.start()
    try:
        with quiet(), associated(node, contexts, own_title, answer_seconds=ANSWER_SECONDS) as association:
            why = None
            for identifier in identifiers(taker, uids):
                why = outcome(node, taker, association.send_c_move(identifier, own_title, MOVE)) or why
        return why
    finally:
        receiver.stop()
