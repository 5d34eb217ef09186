"""A server in a thread, and nnInteractive's own client connected to it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from nnInteractive.inference.remote import nnInteractiveRemoteInferenceSession as Client

from casewise.archive import Archive
from casewise.server.app import create_app
from casewise.server.settings import Settings
from casewise.server.store import Store

Connect = Callable[[], Client]


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """The address of ``app``, served until the block ends."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(120)
        listening.close()


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    folder = tmp_path_factory.mktemp("served") / "archive"
    with Archive.open(folder, create=True) as archive:
        store = Store.open(folder)
        yield create_app(archive, store, Settings(sessions=4))
        store.close()


@pytest.fixture(scope="module")
def address(application: FastAPI) -> Iterator[str]:
    with serving(application) as url:
        yield f"{url}/nninteractive"


@pytest.fixture
def connect(address: str) -> Iterator[Connect]:
    """Connects a client; all are closed after the test."""
    made: list[Client] = []

    def connected() -> Client:
        made.append(Client(address))
        return made[-1]

    yield connected
    for client in made:
        client.close()


@pytest.fixture
def folder(application: FastAPI) -> Path:
    found: Path = application.state.services.archive.folder
    return found
