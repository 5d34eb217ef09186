"""C-MOVE: a DICOM node sends what is asked for to a receiver of one's own, by associations that it opens itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from casewise.errors import UsageError
from casewise.exchange.association import associated
from casewise.exchange.certificates import server_context
from casewise.exchange.node import Node, Tls
from casewise.exchange.quiet import quiet
from casewise.exchange.retrieve import MOVE, PLAIN, identifiers, outcome
from casewise.exchange.taking import Taker


@dataclass(frozen=True)
class MoveTo:
    """Where one's own receiver listens while something is fetched; the node must know its title at this address and port."""

    host: str
    port: int
    tls: Tls | None = None


def move(node: Node, own_title: str, to: MoveTo, taker: Taker, uids: Sequence[str]) -> str | None:
    """As :func:`casewise.exchange.retrieve.get`. Raises UsageError where the port cannot be listened at."""
    from pynetdicom import AE, evt
    from pynetdicom.presentation import build_context

    def store(event: Any) -> int:
        return taker.take(event.encoded_dataset())

    with quiet(), associated(node, [build_context(MOVE, list(PLAIN))], own_title) as association:
        receiver = AE(own_title)
        receiver.supported_contexts = [build_context("1.2.840.10008.1.1")]
        tls = server_context(to.tls) if to.tls else None
        try:
            server = receiver.start_server(
                (to.host, to.port), block=False, ssl_context=tls, evt_handlers=[(evt.EVT_C_STORE, store)]
            )
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise UsageError(f"Port {to.port} of {to.host} cannot be listened at: {reason}; choose another --move-port.") from error
        try:
            why = None
            for identifier in identifiers(taker, uids):
                why = outcome(node, taker, association.send_c_move(identifier, own_title, MOVE)) or why
            return why
        finally:
            server.shutdown()
