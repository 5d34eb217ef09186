"""The receiver: other systems' objects (C-STORE), C-ECHO, and storage commitment, each answered when it is true."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from casewise.errors import CasewiseError, UnreadableImageError, UsageError
from casewise.exchange import callers
from casewise.exchange.certificates import server_context
from casewise.exchange.commitment import MODEL, Committing, Reported
from casewise.exchange.identity import Identity
from casewise.exchange.received import FullError, Instance, Spool
from casewise.exchange.settings import DicomSettings
from casewise.exchange.wire import MOST_PDU, VERIFICATION, prepared

SUCCESS, FULL, MISMATCH, UNREADABLE, FAILED, FORBIDDEN = 0x0000, 0xA700, 0xA900, 0xC000, 0x0110, 0x0124
_SILENCE_SECONDS = 60.0
_log = logging.getLogger("casewise.dicom")


class _ForbiddenError(CasewiseError):
    """The sender may open an association, and not send objects."""


class _MismatchError(CasewiseError):
    """The data set is not of the class or instance that the message names."""


class Receiver:
    """Listens on ``port`` of the settings' host; 0: on a free one.

    store : where objects go. committed : which of these (SOP class, SOP instance) UIDs are held for good: their instance UIDs.
    reported : called with each report on the storage commitment that casewise asked for: transaction UID, instances that are held,
    and those that are not. stored : called with each object that is on disk, before success is answered. silence_seconds : after
    which a connection that says nothing is closed.

    Objects of every class and transfer syntax are taken as they are. Success is answered when an object is on disk; a full disk is
    status 0xA700, upon which the sender tries again later.
    """

    def __init__(
        self,
        settings: DicomSettings,
        store: Spool,
        port: int,
        *,
        committed: Callable[[Sequence[tuple[str, str]]], set[str]],
        reported: Reported | None = None,
        stored: Callable[[Instance], object] = lambda instance: None,
        silence_seconds: float = _SILENCE_SECONDS,
    ) -> None:
        self._settings, self._store, self._port, self._on_stored = settings, store, port, stored
        self._committing = Committing(settings, committed, reported)
        self._silence_seconds = silence_seconds
        self._studies: dict[Any, set[str]] = {}  # by association
        self._lock = threading.Lock()
        self._server: Any = None

    def start(self) -> int:
        """Listen; the port. Raises UsageError where that cannot be, or TLS files cannot be used."""
        prepared()
        from pynetdicom import AE, evt

        from casewise.exchange.listening import Server

        settings = self._settings
        entity = AE(ae_title=settings.ae_title)
        entity.maximum_pdu_size = MOST_PDU
        entity.maximum_associations = settings.receive.most_associations
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = self._silence_seconds
        entity.add_supported_context(VERIFICATION)
        entity.add_supported_context(MODEL, scu_role=True, scp_role=True)
        handlers = [
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_C_STORE, self._stored),
            (evt.EVT_CONN_CLOSE, lambda event: event.assoc.dimse.drop()),
            *self._committing.handlers(),
        ]
        tls = server_context(settings.tls) if settings.tls is not None else None
        try:
            server = entity.make_server(
                (settings.host, self._port),
                ssl_context=tls,
                evt_handlers=handlers,
                server_class=Server,
                spool=self._store,
                most=settings.receive.most_associations,
                silence_seconds=self._silence_seconds,
            )
        except OSError as error:
            reason = error.strerror or type(error).__name__
            msg = f"No DICOM receiver can listen on {settings.host}:{self._port}: {reason}; choose another port or host."
            raise UsageError(msg) from error
        entity._servers.append(server)  # with which its ``shutdown`` ends it
        self._server = server
        threading.Thread(target=server.serve_forever, name="receiver", daemon=True).start()
        port: int = server.server_address[1]
        return port

    def stop(self) -> None:
        """Break off the associations that are open; what was acknowledged is on disk."""
        self._committing.stop()
        if self._server is not None:
            self._server.shutdown()
            for association in self._server.active_associations:
                association.abort()
            self._server = None

    def sending(self) -> set[str]:
        """UIDs of the studies that an association has sent to which is still open."""
        with self._lock:
            self._forget_closed()
            return {study for studies in self._studies.values() for study in studies}

    def _requested(self, event: Any) -> None:
        association = event.assoc
        asked = association.requestor.primitive
        calling, address = asked.calling_ae_title, association.requestor.address
        diagnostic = callers.rejection(self._settings, asked.called_ae_title, calling, address)
        if diagnostic is not None:
            association.acse.send_reject(1, 1, diagnostic)  # permanent, by the service's user
            association.is_rejected = True
            association.kill()
            what = "called AE title" if diagnostic == callers.CALLED_UNKNOWN else "calling AE title or address"
            _log.warning("Rejected an association of %r at %s: its %s is not known.", calling, address, what)

    def _stored(self, event: Any) -> int:
        calling, address = event.assoc.requestor.ae_title, event.assoc.requestor.address
        incoming = event.request.DataSet.incoming
        try:
            if not callers.may_send(self._settings, calling, address):
                raise _ForbiddenError("It is not among the senders.")
            if incoming is None:
                raise UnreadableImageError("It is empty.")
            instance = self._store.keep(incoming, lambda identity: self._arriving(event, identity))
            self._on_stored(instance)
        except Exception as error:
            status, reason = _status_of(error)
            _log.warning("Refused an object of %r at %s with status 0x%04X: %s", calling, address, status, reason)
            return status
        finally:
            if incoming is not None:
                incoming.drop()
        return SUCCESS

    def _arriving(self, event: Any, identity: Identity) -> None:
        request = event.request
        if (str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID)) != (identity.sop_class, identity.sop_uid):
            raise _MismatchError("The data set is of another SOP class or instance than the message that carries it.")
        with self._lock:
            if event.assoc not in self._studies:
                self._forget_closed()
            self._studies.setdefault(event.assoc, set()).add(identity.study_uid)

    def _forget_closed(self) -> None:
        for association in [association for association in self._studies if not association.is_alive()]:
            del self._studies[association]


def _status_of(error: Exception) -> tuple[int, str]:
    """The status that says what went wrong, and a sentence for the log, without a patient's data."""
    if isinstance(error, FullError | MemoryError):
        return FULL, str(error) or "There is no memory left."
    if isinstance(error, _MismatchError):
        return MISMATCH, str(error)
    if isinstance(error, _ForbiddenError):
        return FORBIDDEN, str(error)
    if isinstance(error, UnreadableImageError):
        return UNREADABLE, str(error)
    return FAILED, str(error) if isinstance(error, CasewiseError) else f"it failed with {type(error).__name__}."
