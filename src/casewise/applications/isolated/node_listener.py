"""Where a DICOM node's results arrive: a port that is open while one image's results are awaited, to that node alone."""

from __future__ import annotations

import errno
import ipaddress
import socket
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from casewise.applications.node_run import NodeRun
from casewise.applications.outcome import refused
from casewise.errors import UsageError
from casewise.exchange.node import Tls
from casewise.exchange.received import SUFFIX, Spool
from casewise.exchange.receiver import Receiver
from casewise.exchange.settings import DicomSettings, Sender

_AGAIN = 0.2  # seconds before the port is tried again


class Listener:
    """Takes objects in ``folder`` within a ``with`` block.

    until : of :func:`time.monotonic`; so long it waits for the port, which a process of another user may hold.
    """

    def __init__(self, node: NodeRun, folder: Path, until: float) -> None:
        title = node.answers_from or node.peer.ae_title
        addresses = _addresses(node.answers_host or node.peer.host)
        settings = DicomSettings(
            ae_title=node.reply_title,
            host=node.reply_host,
            tls=tls_of(node),
            senders=tuple(Sender(title, address) for address in addresses),
        )
        self._until, self._spool = until, Spool(folder)
        # No storage is committed to: what is no result of the image is dropped.
        self._receiver = Receiver(settings, self._spool, node.reply_port, committed=lambda asked: set())

    def __enter__(self) -> Listener:
        while True:
            try:
                self._receiver.start()
                return self
            except UsageError as error:
                taken = isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE
                if not taken or time.monotonic() >= self._until:
                    raise refused(f"cannot be answered: {error}") from error
            time.sleep(_AGAIN)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._receiver.stop()

    def busy(self) -> bool:
        """Whether an association is open that has sent something."""
        return bool(self._receiver.sending())

    def files(self, most: int, most_bytes: int) -> list[Path]:
        """What has come. Raises ApplicationError for more objects or bytes than a result has."""
        found = sorted(self._spool.folder.glob(f"*/*{SUFFIX}"))
        size = 0
        for path in found:
            with suppress(FileNotFoundError):
                size += path.stat().st_size
        if len(found) > most or size > most_bytes:
            raise refused(f"sent {len(found):,} objects of {size:,} bytes together; allowed are {most:,} of {most_bytes:,}")
        return found


def tls_of(node: NodeRun) -> Tls | None:
    """The PEM files of both directions."""
    return Tls(**{name: Path(path) for name, path in node.tls.items()}) if node.tls else None


def _addresses(host: str) -> list[str]:
    """Every address that a host has. Raises ApplicationError where nobody knows it."""
    with suppress(ValueError):
        return [str(ipaddress.ip_address(host))]
    try:
        return sorted({str(found[4][0]) for found in socket.getaddrinfo(host, None)})
    except OSError as error:
        raise refused(f"cannot be reached: nobody knows the host {host}") from error
