"""Where a DICOM node's results arrive: a port that is open while one image's results are awaited, to that node alone."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification

from casewise.applications.node_run import NodeRun
from casewise.applications.outcome import ApplicationError
from casewise.errors import CasewiseError
from casewise.exchange.node import Tls
from casewise.exchange.received import SUFFIX, FullError, Spool
from casewise.exchange.wire import prepared

_AGAIN = 0.2  # seconds before the port is tried again
_FULL, _NOT_UNDERSTOOD, _CANNOT = 0xA700, 0xC000, 0x0110


class Listener:
    """Takes objects in ``folder`` within a ``with`` block.

    until : of :func:`time.monotonic`; so long it waits for the port, which another process of this machine may hold.
    """

    def __init__(self, node: NodeRun, folder: Path, until: float) -> None:
        self._node, self._until, self._spool = node, until, Spool(folder)
        self._title = node.answers_from or node.peer.ae_title
        self._addresses = _addresses(node.answers_host or node.peer.host)
        self._open: set[Any] = set()
        self._lock = threading.Lock()
        self._server: Any = None

    def __enter__(self) -> Listener:
        prepared()
        entity = AE(ae_title=self._node.reply_title)
        entity.require_called_aet = True
        entity.require_calling_aet = [self._title]
        entity.supported_contexts = AllStoragePresentationContexts
        entity.add_supported_context(Verification)
        handlers = [
            (evt.EVT_CONN_OPEN, self._connected),
            (evt.EVT_ESTABLISHED, self._opened),
            (evt.EVT_RELEASED, self._closed),
            (evt.EVT_ABORTED, self._closed),
            (evt.EVT_CONN_CLOSE, self._closed),
            (evt.EVT_C_STORE, self._stored),
        ]
        place = (self._node.reply_host, self._node.reply_port)
        while True:
            try:
                self._server = entity.start_server(place, block=False, evt_handlers=handlers, ssl_context=self._tls())
                return self
            except OSError as error:
                if time.monotonic() >= self._until:
                    reason = (error.strerror or str(error)).lower()
                    raise _refused(f"cannot be answered: {place[0]}:{place[1]} cannot be listened at ({reason})") from error
            time.sleep(_AGAIN)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._server is not None:
            self._server.shutdown()

    def busy(self) -> bool:
        """Whether an association is open."""
        with self._lock:
            return bool(self._open)

    def files(self, most: int, most_bytes: int) -> list[Path]:
        """What has come. Raises ApplicationError for more objects or bytes than a result has."""
        found = sorted(self._spool.folder.glob(f"*/*{SUFFIX}"))
        size = 0
        for path in found:
            with suppress(FileNotFoundError):
                size += path.stat().st_size
        if len(found) > most or size > most_bytes:
            raise _refused(f"sent {len(found):,} objects of {size:,} bytes together; allowed are {most:,} of {most_bytes:,}")
        return found

    def _tls(self) -> Any:
        if not self._node.tls:
            return None
        from casewise.exchange.certificates import server_context

        return server_context(Tls(**{name: Path(path) for name, path in self._node.tls.items()}))

    def _connected(self, event: Any) -> None:
        if event.address[0] not in self._addresses:
            event.assoc.abort()

    def _opened(self, event: Any) -> None:
        with self._lock:
            self._open.add(event.assoc)

    def _closed(self, event: Any) -> None:
        with self._lock:
            self._open.discard(event.assoc)

    def _stored(self, event: Any) -> int:
        try:
            self._spool.write(event.encoded_dataset())
        except FullError:
            return _FULL
        except CasewiseError:
            return _NOT_UNDERSTOOD
        except Exception:
            return _CANNOT
        return 0


def _addresses(host: str) -> frozenset[str]:
    """Every address that a host has. Raises ApplicationError where nobody knows it."""
    with suppress(ValueError):
        return frozenset({str(ipaddress.ip_address(host))})
    try:
        return frozenset(str(found[4][0]) for found in socket.getaddrinfo(host, None))
    except OSError as error:
        raise _refused(f"cannot be reached: nobody knows the host {host}") from error


def _refused(reason: str) -> ApplicationError:
    error = ApplicationError(reason)
    error.sound = True
    return error
