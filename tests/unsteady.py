"""A connection that breaks, or changes what passes: a proxy between a test and its server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass(eq=False)
class Unsteady:
    """port : where it listens. cut_after : bytes of an answer after which the connection is cut. cuts : how often that is done
    yet. swap : (old, new) of the same length, in what the server answers. answered : bytes that came back so far.
    """

    port: int = 0
    cut_after: int = 0
    cuts: int = 0
    swap: tuple[bytes, bytes] | None = None
    answered: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _serve(self, listening: socket.socket, target: int) -> None:
        while True:
            try:
                near, _ = listening.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", target))
            except OSError:
                near.close()
                continue
            threading.Thread(target=self._ask, args=(near, far), daemon=True).start()
            threading.Thread(target=self._answer, args=(far, near), daemon=True).start()

    def _ask(self, near: socket.socket, far: socket.socket) -> None:
        with suppress(OSError):
            while part := near.recv(65536):
                far.sendall(part)
        _end(near, far)

    def _answer(self, far: socket.socket, near: socket.socket) -> None:
        passed = 0
        with suppress(OSError):
            while part := far.recv(65536):
                if self.swap is not None:
                    part = part.replace(*self.swap)
                self.answered += len(part)
                with self.lock:
                    if self.cuts > 0 and passed + len(part) > self.cut_after:
                        self.cuts -= 1
                        near.sendall(part[: max(self.cut_after - passed, 0)])
                        break
                passed += len(part)
                near.sendall(part)
        _end(near, far)


def _end(*sockets: socket.socket) -> None:
    for one in sockets:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()


@contextmanager
def unsteady(target: int) -> Iterator[Unsteady]:
    """A proxy before a port of this machine, within the block."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        proxy = Unsteady(listening.getsockname()[1])
        threading.Thread(target=proxy._serve, args=(listening, target), daemon=True).start()
        yield proxy
