"""How a peer's messages are put together from their fragments: objects go to disk as they come, all else is kept small.

pynetdicom would hold a whole object in memory, several times over; a tomosynthesis has two gigabytes.
"""

from __future__ import annotations

import io
import logging
from contextlib import suppress
from queue import Empty
from typing import Any

from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage

from casewise.exchange.incoming import Incoming
from casewise.exchange.part10 import FileMeta
from casewise.exchange.received import Spool

_MOST = 16 << 20  # bytes of a command, or of a message's data set that is no object
_MOST_WAITING = 16  # messages that are not answered yet; who sends one after the other has one
_log = logging.getLogger("casewise.dicom")


class Messages(DIMSEServiceProvider):  # type: ignore[misc]  # pynetdicom has no types
    """Of one association. Of a C-STORE request the data set's ``incoming`` is the object (None where it is empty)."""

    message: Any

    def __init__(self, association: Any, spool: Spool) -> None:
        super().__init__(association)
        self._spool = spool

    def receive_primitive(self, primitive: Any) -> None:
        try:
            if self.message is None:
                self.message = self._begun()
            super().receive_primitive(primitive)
        except Exception as error:  # what a peer sends must not end the thread that has to answer it
            _log.warning("Aborted an association of %r: it sent what is no message (%s).", self._calling(), type(error).__name__)
            self.drop()
            self.dul.event_queue.put("Evt19")  # an invalid unit: the association is aborted

    def drop(self) -> None:
        """Remove what came of objects that nobody asks for any more: the association ended."""
        message, self.message = self.message, None
        waiting = [message.data_set] if message is not None else []
        with suppress(Empty):
            while True:
                waiting.append(getattr(self.msg_queue.get_nowait()[1], "DataSet", None))
        for data_set in waiting:
            if isinstance(data_set, _DataSet) and data_set.incoming is not None:
                data_set.incoming.drop()

    def _begun(self) -> Any:
        if self.msg_queue.qsize() >= _MOST_WAITING:
            raise ValueError("messages are sent faster than they are answered")
        message = DIMSEMessage()
        message.encoded_command_set = _Bounded()
        message.data_set = _DataSet(message, self.assoc, self._spool)
        return message

    def _calling(self) -> str:
        return str(self.assoc.requestor.ae_title)


class _Bounded(io.BytesIO):
    def write(self, data: Any) -> int:
        if self.tell() + len(data) > _MOST:
            raise ValueError("a message is too long")
        return super().write(data)


class _DataSet(_Bounded):
    """Fragments of a message's data set; those of an object go on to a spool."""

    def __init__(self, message: Any, association: Any, spool: Spool) -> None:
        super().__init__()
        self._message, self._association, self._spool = message, association, spool
        self.incoming: Incoming | None = None

    def write(self, data: Any) -> int:
        if not isinstance(self._message, C_STORE_RQ):
            return super().write(data)
        if self.incoming is None:
            self.incoming = self._begun()
        self.incoming.write(data)
        return len(data)

    def _begun(self) -> Incoming:
        command, association = self._message.command_set, self._association
        context = association._accepted_cx[self._message.context_id]
        meta = FileMeta.of(str(command.AffectedSOPClassUID), str(command.AffectedSOPInstanceUID), str(context.transfer_syntax[0]))
        peer = association.requestor
        return self._spool.incoming(meta, peer.ae_title.strip(), association.acceptor.ae_title.strip(), peer.address)
