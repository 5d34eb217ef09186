"""C-MOVE: a DICOM node sends what is asked for to a receiver of one's own, by associations that it opens itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import msgspec

from casewise.exchange.association import associated
from casewise.exchange.identity import Identity
from casewise.exchange.node import Node
from casewise.exchange.quiet import quiet
from casewise.exchange.received import Instance, Spool
from casewise.exchange.receiver import Receiver
from casewise.exchange.retrieve import MOVE, PLAIN, identifiers, outcome
from casewise.exchange.settings import DicomSettings
from casewise.exchange.taking import Taker


@dataclass(frozen=True)
class MoveTo:
    """Where one's own receiver listens while something is fetched: at the settings' host, and for their senders alone.

    The node must know one's title with this machine's address and this port.
    """

    settings: DicomSettings
    port: int


class _Gate(Spool):
    """Lets through what the taker takes."""

    def __init__(self, taker: Taker) -> None:
        super().__init__(taker.spool.folder)
        self._taker = taker

    def write(
        self,
        data: bytes | BinaryIO,
        calling: str = "",
        called: str = "",
        address: str = "",
        *,
        arriving: Callable[[Identity], None] | None = None,
    ) -> Instance:
        return self._taker.keep(data, calling, called, address, arriving=arriving)


def move(node: Node, own_title: str, to: MoveTo, taker: Taker, uids: Sequence[str]) -> str | None:
    """As :func:`casewise.exchange.retrieve.get`. Raises UsageError where the port cannot be listened at."""
    from pynetdicom.presentation import build_context

    settings = msgspec.structs.replace(to.settings, ae_title=own_title)
    receiver = Receiver(settings, _Gate(taker), to.port, committed=lambda asked: set())
    receiver.start()
    try:
        with quiet(), associated(node, [build_context(MOVE, list(PLAIN))], own_title) as association:
            why = None
            for identifier in identifiers(taker, uids):
                why = outcome(node, taker, association.send_c_move(identifier, own_title, MOVE)) or why
        return why
    finally:
        receiver.stop()
