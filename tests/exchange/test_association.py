"""Associations that are opened from here, with real systems on the other end."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from casewise.exchange.association import AssociationError, echo
from casewise.exchange.node import Node, Tls
from tests.certificates import Authority
from tests.orthanc import free_port, orthanc
from tests.programs import missing


@contextmanager
def storescp(folder: Path, *options: str) -> Iterator[int]:
    """dcmtk's storescp, on a port of this machine."""
    program = shutil.which("storescp") or missing("storescp of dcmtk")
    port = free_port()
    process = subprocess.Popen([program, "-od", str(folder), *options, str(port)])
    try:
        until = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 5).close()
                break
            except OSError:
                assert time.monotonic() < until and process.poll() is None
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(120)


def refused(node: Node) -> AssociationError:
    with pytest.raises(AssociationError) as caught:
        echo(node, "CASEWISE")
    assert "\n" not in str(caught.value)
    return caught.value


def test_orthanc_answers_and_says_what_it_does_not_like(tmp_path: Path) -> None:
    with orthanc(tmp_path / "orthanc", DicomCheckCalledAet=True) as pacs:
        echo(Node("ORTHANC", "127.0.0.1", pacs.port), "CASEWISE")
        error = refused(Node("ANOTHER", "127.0.0.1", pacs.port))
        assert "not called ANOTHER" in str(error)
        assert not error.passing
        pacs.stop()
        error = refused(Node("ORTHANC", "127.0.0.1", pacs.port))
        assert "Connection refused" in str(error)
        assert error.passing
    assert "cannot be reached" in str(refused(Node("ORTHANC", "no-such-host.invalid", 104)))


def test_a_system_that_takes_no_association_is_reported(tmp_path: Path) -> None:
    with storescp(tmp_path, "--refuse") as port:
        assert "refuses the association" in str(refused(Node("STORESCP", "127.0.0.1", port)))


def test_a_refusal_that_comes_before_it_is_looked_for_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pynetdicom.transport import AssociationSocket

    class Late(threading.Event):
        """A thread that waits for the connection goes on only when the answer has come and the connection is closed."""

        def wait(self, timeout: float | None = None) -> bool:
            return super().wait(timeout) and not time.sleep(1)

    opened = AssociationSocket.__init__

    def slow(self: AssociationSocket, *arguments: object, **named: object) -> None:
        opened(self, *arguments, **named)  # type: ignore[arg-type]
        self._ready = Late()

    with storescp(tmp_path, "--refuse") as port:
        monkeypatch.setattr(AssociationSocket, "__init__", slow)
        assert "refuses the association" in str(refused(Node("STORESCP", "127.0.0.1", port)))


def test_tls_with_and_without_certificates_that_are_believed(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path / "one"), Authority(tmp_path / "two")
    own, server = authority.issue("client"), authority.issue("server")
    options = ["+tls", str(server.key), str(server.certificate), "+cf", str(server.ca), "--require-peer-cert"]
    with storescp(tmp_path, *options) as port:
        echo(Node("STORESCP", "127.0.0.1", port, tls=own), "CASEWISE")
        stranger = Tls(certificate=own.certificate, key=own.key, ca=other.ca)
        assert "not believed" in str(refused(Node("STORESCP", "127.0.0.1", port, tls=stranger)))
        assert "TLS fails" in str(refused(Node("STORESCP", "127.0.0.1", port, tls=Tls(ca=server.ca))))
        assert refused(Node("STORESCP", "127.0.0.1", port)).passing
