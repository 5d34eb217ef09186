"""Receivers of DICOM objects, each a process of its own on a fresh folder: casewise, Orthanc and dcmtk's storescp."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from casewise.archive import Archive
from tests.orthanc import free_port, orthanc


@dataclass(frozen=True)
class Running:
    """title : that it is called by. count : objects that it holds."""

    title: str
    port: int
    process: psutil.Process
    count: Callable[[], int]

    def cpu_seconds(self) -> float:
        """Of the process and of its children, those that have ended too."""
        spent = sum(self.process.cpu_times()[:4])
        for child in self.process.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                spent += sum(child.cpu_times()[:2])
        return spent

    def peak_mib(self) -> float:
        """The most memory that it has had at once."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


@contextmanager
def casewise(folder: Path) -> Iterator[Running]:
    """The process that `casewise serve --dicom-port` starts: it also notes in the archive's store what came."""
    Archive.open(folder, create=True).close()
    port = free_port()
    command = [sys.executable, "-m", "casewise.server.dicom.process", str(folder), str(port)]
    received = folder / "server" / "dicom" / "received"
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        yield Running("CASEWISE", _listening(port), psutil.Process(process.pid), lambda: len(list(received.glob("*/*.dcm"))))
        process.kill()


@contextmanager
def storescp(folder: Path) -> Iterator[Running]:
    port = free_port()
    folder.mkdir()
    command = [shutil.which("storescp") or "storescp", "-od", str(folder), "--fork", "--max-pdu", "131072", str(port)]
    with subprocess.Popen(command) as process:
        yield Running("STORESCP", _listening(port), psutil.Process(process.pid), lambda: len(list(folder.iterdir())))
        process.kill()


@contextmanager
def of_orthanc(folder: Path) -> Iterator[Running]:
    with orthanc(folder) as pacs:
        assert pacs.process is not None
        yield Running(
            "ORTHANC", pacs.port, psutil.Process(pacs.process.pid), lambda: int(pacs.get("/statistics")["CountInstances"])
        )


RECEIVERS = {"casewise": casewise, "Orthanc": of_orthanc, "storescp": storescp}


def _listening(port: int) -> int:
    until = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
            return port
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
