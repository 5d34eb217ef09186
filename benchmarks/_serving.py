"""A server in a process of its own, and a person who outlines on it over HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

from casewise.archive import Archive
from casewise.image import Image
from casewise.server.masks import runs, unpacked
from casewise.server.schemas.common import MaskPatch
from casewise.server.store import Store
from casewise.server.tokens import issue_token

# The application alone, without the built page and without workers, on a free port; it says which.
_SERVER = """
import socket, sys, uvicorn
from casewise.archive import Archive
from casewise.server.app import create_app
from casewise.server.store import Store
from pathlib import Path

folder = Path(sys.argv[1])
with Archive.open(folder) as archive:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(128)
    app = create_app(archive, Store.open(folder))
    config = uvicorn.Config(app, access_log=False, log_level="warning", ws="none")
    print(listening.getsockname()[1], flush=True)
    uvicorn.Server(config).run(sockets=[listening])
"""


class Server:
    """A running server. ``url``: its address. ``process``: its own, for processor seconds and memory."""

    def __init__(self, child: subprocess.Popen[str], folder: Path) -> None:
        self.child, self.folder = child, folder
        assert child.stdout is not None
        self.url = f"http://127.0.0.1:{int(child.stdout.readline())}"
        self.process = psutil.Process(child.pid)

    def cpu(self) -> float:
        """Processor seconds so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def resident(self) -> float:
        """MiB in memory."""
        return float(self.process.memory_info().rss) / 2**20

    def client(self, user: str = "local", role: str = "annotator") -> httpx.Client:
        store = Store.open(self.folder)
        token, _ = issue_token(store, user, role, 1.0)
        store.close()
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {token}"}, timeout=120)


@contextmanager
def serving(folder: Path, **environment: str) -> Iterator[Server]:
    """A server of the archive in ``folder``; it has ended when the block has."""
    own = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    child = subprocess.Popen([sys.executable, "-c", _SERVER, str(folder)], stdout=subprocess.PIPE, text=True, env=own)
    try:
        yield Server(child, folder)
    finally:
        child.terminate()
        child.wait(30)


@contextmanager
def archive_of(images: dict[str, Image]) -> Iterator[tuple[Path, dict[str, str]]]:
    """(folder, name → key) of a new archive of images."""
    with tempfile.TemporaryDirectory() as folder:
        with Archive.open(Path(folder) / "archive", create=True) as archive:
            keys = {name: archive.add(image, name=name) for name, image in images.items()}
        yield Path(folder) / "archive", keys


class Annotator:
    """One person at the page: sends orders, and puts the mask together from the answers."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.id, self.round, self.merged = "", 0, 0
        self.shape: tuple[int, ...] = ()
        self.mask = np.zeros((0,), bool)
        self.seconds: list[tuple[float, float]] = []  # of each order: in all, and the server's own

    def open(self, key: str, structure: str, shape: tuple[int, ...], begin: str = "empty") -> None:
        body = {"case": key, "structure": structure, "begin": begin}
        state = self._post("/api/v1/sessions", body)
        self.id, self.shape, self.mask = state["id"], shape, np.zeros(shape, bool)
        self.round = state["objects"][state["current"]]["round"]

    def box(self, box: list[list[int]]) -> None:
        self._order("box", {"box": box})

    def strokes(self, foreground: np.ndarray, background: np.ndarray) -> None:
        """(n, axes) each."""
        self._order("strokes", {"foreground": runs(foreground, self.shape), "background": runs(background, self.shape)})

    def again(self) -> None:
        """Take the session as it stands."""
        state = self.client.get(f"/api/v1/sessions/{self.id}").json()
        self.round = state["objects"][state["current"]]["round"]
        self.mask = self.whole()

    def whole(self) -> np.ndarray:
        """(*spatial) bool: the mask as the server has it."""
        answer = self.client.get(f"/api/v1/sessions/{self.id}/mask")
        return unpacked(MaskPatch(**answer.json())).whole(self.shape)

    def accept(self) -> None:
        self._post(f"/api/v1/sessions/{self.id}/accept", {})

    def _order(self, what: str, body: dict[str, Any]) -> None:
        began = time.perf_counter()
        answer = self._post(f"/api/v1/sessions/{self.id}/{what}", {"after": self.round, **body})
        self.seconds.append((time.perf_counter() - began, answer["ms"] / 1000))
        self.round, self.merged = answer["object"]["round"], answer["merged"]
        if answer["patch"] is not None:
            part = unpacked(MaskPatch(**answer["patch"]))
            self.mask[part.box.slices] = part.bits

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self.client.post(path, content=json.dumps(body), headers={"Content-Type": "application/json"})
        if answer.status_code >= 400:
            raise RuntimeError(f"{path}: {answer.status_code} {answer.text[:300]}")
        found: dict[str, Any] = answer.json()
        return found
