"""A real server, and the real clients: MONAI Label's own, the file in 3D Slicer's module, and OHIF's code under Node."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import uvicorn

from casewise.archive import Archive
from casewise.server.app import create_app
from casewise.server.settings import Settings
from casewise.server.store import Store
from tests.clients import node_packages, python_with

HERE = Path(__file__).parent
_PYTHON = ["monailabel==0.8.5", "requests==2.32.5", "requests-toolbelt==1.0.0", "urllib3", "idna", "certifi", "charset-normalizer"]
_SLICER = ["slicer-core==5.13.31053.0", "vtk==9.6.2", "numpy"]
_NODE = ["axios@1.12.2", "nrrd-js@0.2.1", "pako@1.0.11"]
ORIGIN = "http://viewer.example"


@dataclass
class Served:
    """url : of the server. app, archive, store : as it uses them."""

    url: str
    app: Any
    archive: Archive
    store: Store


class Driven:
    """A client in a process of its own, called by its methods' names."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, message: list[Any]) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        while line and not line.startswith("{"):  # what libraries print beside
            line = self._process.stdout.readline()
        assert line, f"the client ended with {self._process.poll()}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(120)


class PythonClient(Driven):
    """``client(method, …)`` gives what the method returns; ``refused(method, …)`` the message of the error that it raises."""

    def __call__(self, method: str, *arguments: Any, **named: Any) -> Any:
        answer = self.ask([method, arguments, named])
        assert "error" not in answer, answer
        return answer["result"]

    def refused(self, method: str, *arguments: Any, **named: Any) -> str:
        answer = self.ask([method, arguments, named])
        assert answer.get("kind") == "MONAILabelClientException", answer
        return str(answer["error"])


@pytest.fixture(scope="session")
def client_python() -> Path:
    return python_with("monailabel", _PYTHON)


@pytest.fixture(scope="session")
def plugins(client_python: Path) -> Path:
    """MONAI Label's plug-ins for other programs, as its wheel brings them."""
    return client_python.parents[1] / "monailabel" / "plugins"


@pytest.fixture(scope="session")
def slicer_python() -> Path:
    return python_with("slicer", _SLICER)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A server of an archive of three volumes and a picture, without users."""
    yield from serve(tmp_path / "archive", Settings(origins=(ORIGIN,)))


def serve(folder: Path, settings: Settings) -> Iterator[Served]:
    archive, store = Archive.open(folder, create=True), Store.open(folder)
    app = create_app(archive, store, settings)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    yield Served(f"http://127.0.0.1:{port}", app, archive, store)
    server.should_exit = True
    thread.join()
    store.close()
    archive.close()


@pytest.fixture(params=["monailabel", "slicer"])
def client(
    request: pytest.FixtureRequest, client_python: Path, plugins: Path, served: Served, tmp_path: Path
) -> Iterator[PythonClient]:
    """MONAI Label's own client, and the copy of it in 3D Slicer's module."""
    where = request.param if request.param == "monailabel" else _slicers_file(plugins)
    yield from _python_client(client_python, str(where), served.url, tmp_path)


def _python_client(python: Path, where: str, url: str, tmp_path: Path) -> Iterator[PythonClient]:
    folder = tmp_path / "client"
    folder.mkdir(exist_ok=True)
    made = PythonClient([str(python), str(HERE / "drive_python.py"), where, url, str(folder), "reader-1"])
    yield made
    made.close()


@pytest.fixture
def slicer_client(client_python: Path, plugins: Path, served: Served, tmp_path: Path) -> Iterator[PythonClient]:
    yield from _python_client(client_python, str(_slicers_file(plugins)), served.url, tmp_path)


def _slicers_file(plugins: Path) -> Path:
    return plugins / "slicer" / "MONAILabel" / "MONAILabelLib" / "client.py"


@pytest.fixture
def monailabel_client(client_python: Path, served: Served, tmp_path: Path) -> Iterator[PythonClient]:
    yield from _python_client(client_python, "monailabel", served.url, tmp_path)


@pytest.fixture(scope="session")
def ohif_code(plugins: Path) -> tuple[Path, Path]:
    """(Node, the folder with OHIF's own files and ours that drives them)."""
    node, folder = node_packages("ohif", _NODE)
    source = plugins / "ohifv3" / "extensions" / "monai-label" / "src"
    for file in (source / "services" / "MonaiLabelClient.js", source / "utils" / "SegmentationReader.js", HERE / "drive_ohif.mjs"):
        shutil.copy(file, folder / file.name)
    return node, folder


@pytest.fixture
def ohif(ohif_code: tuple[Path, Path], served: Served) -> Iterator[Driven]:
    node, folder = ohif_code
    made = Driven([str(node), str(folder / "drive_ohif.mjs"), served.url, ORIGIN])
    yield made
    made.close()


@pytest.fixture
def ball() -> Callable[[tuple[int, ...], tuple[int, ...], float], npt.NDArray[np.bool_]]:
    """A ball in a grid: its shape, its centre and its radius in voxels."""

    def made(shape: tuple[int, ...], centre: tuple[int, ...], radius: float) -> npt.NDArray[np.bool_]:
        steps = np.ogrid[tuple(slice(n) for n in shape)]
        return np.asarray(sum((step - place) ** 2 for step, place in zip(steps, centre, strict=True)) <= radius**2)

    return made
