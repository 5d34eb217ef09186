"""One server on this machine: its address, its application in uvicorn, and its workers."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn
from fastapi import FastAPI
from filelock import FileLock, Timeout

from casewise.archive import Archive
from casewise.errors import UsageError
from casewise.exchange import settings as dicom_settings
from casewise.exchange.settings import DicomSettings
from casewise.server import pages
from casewise.server import settings as server_settings
from casewise.server.app import create_app
from casewise.server.children import Children
from casewise.server.dicom.listening import listening_at
from casewise.server.logins import one_time_link
from casewise.server.settings import Settings
from casewise.server.store import Store
from casewise.server.users import any_users

LOCK = "server.lock"  # in the archive's folder: held by its server
_SETTINGS = {server_settings.FILE, dicom_settings.FILE, "applications.toml"}
_CLOSE_SECONDS = 10  # for calls that run when the server is to end


@dataclass(frozen=True)
class Address:
    """Where the server listens. proxy : the address of the proxy before it, whose word on the client's is taken."""

    host: str = "127.0.0.1"
    port: int = 8080
    proxy: str | None = None
    certificate: Path | None = None
    key: Path | None = None

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.certificate else 'http'}://{host}:{self.port}"


def serve(
    folder: Path,
    address: Address,
    *,
    workers: int = 1,
    dicom_port: int | None = None,
    ready: Callable[[str, str | None, str | None], None] = lambda url, link, node: None,
    worker: Sequence[str] = (),
) -> None:
    """Serve the archive in ``folder`` until Ctrl-C or SIGTERM.

    dicom_port : where DICOM objects are received, by a process of its own; 0: a free one; None: nowhere. An archive that receives
    may begin empty: it is made where the folder is not there, or holds nothing but settings.
    ready : called once the page answers, with the address, the link that signs in whoever opens it first (None once there are
    users), and the DICOM node, ``TITLE@host:port`` (None where there is none). worker : the command of a worker, instead of
    casewise's own. Call it in the main thread.
    Raises UsageError and ArchiveError, one sentence.
    """
    if not (pages.STATIC / "page.js").is_file():
        msg = "The page is not built in this checkout: run `make page` once (an installed casewise brings it built)."
        raise UsageError(msg)
    with ExitStack() as closing:
        archive = closing.enter_context(Archive.open(folder, create=dicom_port is not None and _is_empty(folder)))
        closing.enter_context(_alone(archive.folder))
        settings = Settings.load(archive.folder)
        store = Store.open(archive.folder)
        closing.callback(store.close)
        users = any_users(store)
        check(address, users, settings)
        listening = closing.enter_context(_listen(address))
        address = Address(address.host, listening.getsockname()[1], address.proxy, address.certificate, address.key)
        commands = [list(worker) or [sys.executable, "-m", "casewise.server.worker", str(archive.folder)]] * workers
        node = None if dicom_port is None else listening_at(DicomSettings.load(archive.folder), dicom_port)
        if node is not None:
            commands.append([sys.executable, "-m", "casewise.server.dicom.process", str(archive.folder), str(node.port)])
        children = Children(commands)
        closing.callback(children.stop)

        def answers() -> None:
            url = settings.url or address.url
            ready(url, None if users else one_time_link(store, url), None if node is None else str(node))
            children.start()

        _Server(create_app(archive, store, settings, node), address, answers).run(sockets=[listening])


def check(address: Address, users: bool, settings: Settings) -> None:
    """Raises UsageError for an address that others could reach without signing in, or unencrypted."""
    if (address.certificate is None) != (address.key is None):
        msg = "TLS needs both files: give --tls-certificate and --tls-key."
        raise UsageError(msg)
    for path in (address.certificate, address.key):
        if path is not None and not path.is_file():
            msg = f"{path} is not a file; give the PEM files of the certificate (with its chain) and of its key."
            raise UsageError(msg)
    if _is_loopback(address.host):
        return
    if not users:
        msg = (
            f"{address.host} can be reached from other machines, and this archive has no users yet: "
            "add an admin first, with `casewise users ARCHIVE add NAME --role admin`."
        )
        raise UsageError(msg)
    if address.certificate is None and address.proxy is None:
        msg = (
            f"{address.host} can be reached from other machines, and passwords would travel unencrypted: "
            "give --tls-certificate and --tls-key, or --behind-proxy with the address of a proxy that has TLS."
        )
        raise UsageError(msg)
    if settings.url is None:
        msg = 'Say in server.toml, in the archive\'s folder, under which address people reach it: url = "https://casewise.example".'
        raise UsageError(msg)


class _Server(uvicorn.Server):
    """uvicorn's, that says when it answers, and ends what would go on for ever when it is to stop."""

    def __init__(self, app: FastAPI, address: Address, answers: Callable[[], None]) -> None:
        super().__init__(_config(app, address))
        self._app, self._answers = app, answers

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._answers()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.services.events.close()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal ends the server; a second Ctrl-C does not wait for calls. uvicorn would raise the signal once more at the end,
        and nothing would be closed after it.
        """
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def _config(app: FastAPI, address: Address) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        server_header=False,
        ws="none",
        proxy_headers=address.proxy is not None,
        forwarded_allow_ips=address.proxy,
        ssl_certfile=address.certificate,
        ssl_keyfile=address.key,
        timeout_graceful_shutdown=_CLOSE_SECONDS,
    )


def _is_empty(folder: Path) -> bool:
    return not folder.exists() or (folder.is_dir() and {path.name for path in folder.iterdir()} <= _SETTINGS)


def _alone(folder: Path) -> FileLock:
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        msg = f"Another `casewise serve` serves {folder} already; use that one, or stop it first."
        raise UsageError(msg) from error
    except OSError as error:
        msg = f"{folder} cannot be written to ({(error.strerror or type(error).__name__).lower()}), and a server must write there."
        raise UsageError(msg) from error
    return lock


def _listen(address: Address) -> socket.socket:
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        if os.name == "posix":  # elsewhere it would let two servers share a port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(place)
        listening.listen(128)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        msg = f"casewise cannot listen at {address.host}, port {address.port}: {reason}. Give another --port or --host."
        raise UsageError(msg) from error
    return listening


def _is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches a host; a name as the system resolves it."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        msg = f"{host} is no address of this machine; give --host 127.0.0.1, or one of this machine's."
        raise UsageError(msg) from error
    return all(ipaddress.ip_address(str(place[0]).partition("%")[0]).is_loopback for *_, place in found)
