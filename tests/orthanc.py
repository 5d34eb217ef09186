"""A real PACS for tests: Debian's Orthanc in a process of its own, with DICOMweb, on free ports of this machine."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.programs import missing
from tests.waiting import SECONDS

_DICOMWEB = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"


@dataclass(eq=False)
class Orthanc:
    """title, port : of its DICOM side. http : its REST root; DICOMweb lies at ``http``/dicom-web."""

    folder: Path
    title: str
    port: int
    http: str
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        log = (self.folder / "orthanc.log").open("ab")
        program = shutil.which("Orthanc") or missing("Orthanc")
        self.process = subprocess.Popen([program, str(self.folder / "orthanc.json")], stdout=log, stderr=log)
        until = time.monotonic() + 60
        while True:
            try:
                self.get("/system")
                return
            except OSError:
                if time.monotonic() > until or self.process.poll() is not None:
                    raise RuntimeError((self.folder / "orthanc.log").read_text(errors="replace")[-2000:]) from None
                time.sleep(0.1)

    def stop(self) -> None:
        """What it holds is kept for the next ``start``."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(120)
            self.process = None

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.http + path, timeout=SECONDS) as answer:
            content = answer.read()
        return json.loads(content) if answer.headers.get_content_type() == "application/json" else content

    def post(self, path: str, body: object) -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.http + path, data=data), timeout=SECONDS) as answer:
            return json.loads(answer.read() or b"null")

    def delete(self, path: str) -> None:
        urllib.request.urlopen(urllib.request.Request(self.http + path, method="DELETE"), timeout=SECONDS).close()

    def add(self, *files: Path) -> list[str]:
        """Upload files; Orthanc's identifiers of the instances."""
        return [self.post("/instances", file.read_bytes())["ID"] for file in files]

    def found(self, level: str = "Instance", **tags: str) -> list[dict[str, Any]]:
        """What it holds at a level (Study, Series, Instance) with these tags."""
        answer: list[dict[str, Any]] = self.post("/tools/find", {"Level": level, "Query": tags, "Expand": True})
        return answer


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


@contextmanager
def orthanc(folder: Path, modalities: dict[str, tuple[str, int]] | None = None, **more: object) -> Iterator[Orthanc]:
    """An Orthanc that runs within the block. modalities : name → (AE title, port on this machine) of nodes that it can send to."""
    if shutil.which("Orthanc") is None or not Path(_DICOMWEB).exists():
        missing("Orthanc with its DICOMweb plug-in")
    folder.mkdir(parents=True, exist_ok=True)
    port, http = free_port(), free_port()
    settings = {
        "Name": "test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "HttpPort": http,
        "DicomPort": port,
        "DicomAet": "ORTHANC",
        "DicomAlwaysAllowEcho": True,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowMove": True,
        "DicomAlwaysAllowGet": True,
        "DicomCheckModalityHost": False,
        "UnknownSopClassAccepted": True,
        "DicomModalities": {name: [title, "127.0.0.1", at] for name, (title, at) in (modalities or {}).items()},
        "Plugins": [_DICOMWEB],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        **more,
    }
    (folder / "orthanc.json").write_text(json.dumps(settings), encoding="utf-8")
    running = Orthanc(folder, "ORTHANC", port, f"http://127.0.0.1:{http}")
    running.start()
    try:
        yield running
    finally:
        running.stop()
