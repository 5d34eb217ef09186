"""The server below the receiver: pynetdicom's, with bounds on what a peer can make it wait for or hold in memory.

A peer that connects and is silent, speaks no TLS, or announces a protocol data unit of gigabytes costs a thread for some seconds,
never the others' connections. Objects' data are read straight into their place and passed on as views of it: copied five times, as
pynetdicom does, they would take twice the time.
"""

from __future__ import annotations

import functools
import logging
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Any

from pynetdicom.pdu import P_DATA_TF
from pynetdicom.pdu_items import PresentationDataValueItem
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from casewise.exchange.messages import Messages
from casewise.exchange.received import Spool

_HANDSHAKE_SECONDS = 10.0
_LARGEST = 4 << 20  # bytes of one read: of a protocol data unit, or of a request for an association
_DATA = 0x04  # the type of a unit with data
_log = logging.getLogger("casewise.dicom")


class _Handler(RequestHandler):  # type: ignore[misc]  # pynetdicom has no types
    def _create_association(self) -> Any:
        association = super()._create_association()
        place = association.dul.socket
        place.recv = functools.partial(_read, place)
        association.dul._decode_pdu = functools.partial(_decoded, association.dul._decode_pdu)
        association.dimse = Messages(association, self.server.spool)
        return association


class Server(ThreadedAssociationServer):  # type: ignore[misc]
    """spool : where objects go. most : associations that are served at a time; of further connections a few are refused with
    that reason, the others are closed. silence_seconds : after which a connection that says nothing is closed.
    """

    request_queue_size = 128
    daemon_threads = True

    def __init__(self, *arguments: Any, spool: Spool, most: int, silence_seconds: float, **named: Any) -> None:
        self.spool, self._most, self._silence_seconds = spool, most, silence_seconds
        super().__init__(*arguments, request_handler=_Handler, **named)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return len(self.active_associations) < self._most + 16

    def get_request(self) -> tuple[socket.socket, Any]:
        return self.socket.accept()  # type: ignore[no-any-return]  # TLS is spoken in the connection's own thread

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.ssl_context is not None:
            request.settimeout(_HANDSHAKE_SECONDS)
            try:
                request = self.ssl_context.wrap_socket(request, server_side=True)
            except (OSError, ssl.SSLError) as error:
                reason = getattr(error, "reason", None) or type(error).__name__
                _log.warning("Turned away a connection from %s: no TLS as it is asked for (%s).", client_address[0], reason)
                self.shutdown_request(request)
                return
        request.settimeout(self._silence_seconds)
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        _log.warning("A connection from %s broke off before it was an association.", client_address[0])


def _read(place: Any, count: int) -> bytearray:
    """``count`` bytes of an association's socket; fewer where the other end closed it. Raises OSError."""
    if count > _LARGEST:
        raise OSError(f"a unit of {count} bytes is refused")
    content = bytearray(count)
    view, got = memoryview(content), 0
    while got < count:
        more = place.socket.recv_into(view[got:])
        if not more:
            view.release()
            return content[:got]
        got += more
    return content


def _decoded(decode: Callable[[bytearray], tuple[Any, str]], unit: bytearray) -> tuple[Any, str]:
    """A protocol data unit and its event; ``decode`` is pynetdicom's, for all units but those with data (PS3.8, 9.3.5).

    Raises ValueError for a unit whose parts do not fill it.
    """
    if unit[0] != _DATA:
        return decode(unit)
    found, view, place = P_DATA_TF(), memoryview(unit).toreadonly(), 6
    while place < len(unit):
        (length,) = struct.unpack_from(">I", unit, place)
        end = place + 4 + length
        if length < 2 or end > len(unit):
            raise ValueError("a data value is longer than its unit")
        item = PresentationDataValueItem()
        item.presentation_context_id, item.presentation_data_value = unit[place + 4], view[place + 5 : end]
        found.presentation_data_value_items.append(item)
        place = end
    return found, "Evt10"
