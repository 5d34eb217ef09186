"""MONAI Label 0.8.5 beside casewise: its real server, or casewise's, asked by MONAI Label's calls as Slicer's module makes them.

MONAI Label needs an environment of its own. ``python -m benchmarks._monailabel FOLDER`` makes it: its code and what its server
imports, with torch and the rest taken from this environment; torchvision, which no scribbles method uses, is stood in for. The
variable CASEWISE_MONAILABEL names FOLDER to the benchmarks.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import SimpleITK

from benchmarks._serving import archive_of, serving
from casewise.image import Image

FOLDER = "CASEWISE_MONAILABEL"
_PACKAGES = [
    "monailabel==0.8.5",
    "monai==1.5.1",
    "numpy==1.26.4",
    "pydicom==2.4.5",
    "dicomweb-client==0.59.3",
    "pydicom-seg==0.4.1",
    "pynetdicom",
    "pynrrd==1.1.3",
    "numpymaxflow==0.0.7",
    "itk==5.4.7",
    "itk-core==5.4.7",
    "itk-numerics==5.4.7",
    "itk-io==5.4.7",
    "itk-filtering==5.4.7",
    "itk-registration==5.4.7",
    "itk-segmentation==5.4.7",
    "pytorch-ignite==0.5.5",
    "pydantic-settings",
    "python-dotenv",
    "schedule",
    "timeloop",
    "expiringdict",
    "expiring_dict",
    "sortedcontainers",
    "cachetools",
    "watchdog",
    "jsonschema",
    "jsonschema-specifications",
    "referencing",
    "rpds-py",
    "attrs",
    "retrying",
    "girder-client",
    "passlib",
    "pyjwt",
    "bcrypt",
    "shapely",
    "requests",
    "requests-toolbelt",
    "google-auth",
    "einops",
    "diskcache",
    "click",
    "tqdm",
    "tensorboard",
    "tensorboard-data-server",
    "protobuf",
    "grpcio",
    "markdown",
    "werkzeug",
    "absl-py",
    "pandas",
    "pytz",
]
_STAND_IN = "def make_grid(*_):\n    raise NotImplementedError\n\n\nsave_image = make_grid\n"
_CONF = ("models segmentation", "use_pretrained_model false", "sam2 false")
_LABELS = [{"name": "background_scribbles", "id": 1}, {"name": "foreground_scribbles", "id": 2}, {"name": "object", "id": 3}]


def install(folder: Path) -> None:
    """Make the environment."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    subprocess.run([str(folder / "bin" / "pip"), "install", "--quiet", "--no-deps", *_PACKAGES], check=True)
    packages = next((folder / "lib").glob("python3*/site-packages"))
    (packages / "ours.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    (packages / "torchvision").mkdir()
    (packages / "torchvision" / "__init__.py").write_text('__version__ = "0"\n')
    (packages / "torchvision" / "utils.py").write_text(_STAND_IN)


def absent() -> str | None:
    """Why MONAI Label is not measured; None where it is there."""
    folder = os.environ.get(FOLDER)
    if folder and (Path(folder) / "bin" / "python").exists():
        return None
    return f"MONAI Label was not measured: {FOLDER} names no environment of it (python -m benchmarks._monailabel FOLDER makes one)."


class Scribbling:
    """One image at a server; all scribbles so far travel in one label map, as Slicer's module sends them."""

    def __init__(self, url: str, image: str, model: str, shape: tuple[int, ...], process: psutil.Process) -> None:
        self._client = httpx.Client(base_url=url, timeout=600)
        self._address, self._process = f"/infer/{model}?image={image}", process
        self._labels = np.zeros((*shape, 1)[:3], np.uint8)
        self._roi: list[int] = []
        self.own: float | None = None

    def box(self, box: list[list[int]]) -> None:
        """The region of interest goes with the first scribbles: nothing is asked for by a box alone."""
        pairs = [*box, [0, 1]][:3]
        self._roi = [value for low, high in pairs for value in (low, high - 1 if high - low > 1 else high)]

    def strokes(self, foreground: np.ndarray, background: np.ndarray) -> None:
        for value, places in ((2, foreground), (1, background)):
            if len(places):
                self._labels[tuple(np.pad(places, ((0, 0), (0, 3 - places.shape[1]))).T)] = value
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "scribbles.nii.gz"
            written = SimpleITK.GetImageFromArray(self._labels.T)
            written.CopyInformation(self._like)
            SimpleITK.WriteImage(written, str(path))
            params = {"roi": self._roi, "label_info": _LABELS, "selected_label_name": "object", "result_extension": ".nrrd"}
            answer = self._client.post(
                self._address,
                data={"params": json.dumps({**params, "result_dtype": "uint8"})},
                files={"label": (path.name, path.read_bytes())},
            )
            answer.raise_for_status()
            reply = Path(folder) / "mask.nrrd"
            reply.write_bytes(answer.content[answer.content.index(b"NRRD") :])
            SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(reply)))

    def like(self, image: SimpleITK.Image) -> Scribbling:
        """Label maps lie on the grid of this image."""
        self._like = image
        return self

    def cpu(self) -> float:
        times = [one.cpu_times() for one in (self._process, *self._process.children(recursive=True))]
        return float(sum(one.user + one.system for one in times))


class MonaiLabel:
    """Its radiology app with the histogram and graph cut, as it comes (on its grid of 2.5 × 2.5 × 5 mm), one thread."""

    name = "MONAI Label 0.8.5"

    @contextmanager
    def open(self, image: Image) -> Iterator[Scribbling]:
        python = Path(os.environ[FOLDER]) / "bin" / "python"
        app = Path(os.environ[FOLDER]) / "monailabel" / "sample-apps" / "radiology"
        with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
            free.close()
            volume = _volume(image)
            SimpleITK.WriteImage(volume, f"{folder}/image.nii.gz")
            where = ["--app", str(app), "--studies", folder, "-i", "127.0.0.1", "-p", str(port)]
            settings = [word for one in _CONF for word in ("--conf", *one.split())]
            threads = {"OMP_NUM_THREADS": "1", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
            command = [str(python), "-m", "monailabel.main", "start_server", *where, *settings]
            with (Path(folder) / "log").open("w") as log:
                child = subprocess.Popen(command, env={**os.environ, **threads}, stdout=log, stderr=log)
            try:
                url = f"http://127.0.0.1:{port}"
                _wait(url, child)
                shape = image.spatial_shape
                yield Scribbling(url, "image", "Histogram%2BGraphCut", shape, psutil.Process(child.pid)).like(volume)
            finally:
                child.terminate()
                child.wait(30)


class CasewiseScribbles:
    """casewise's server, asked by MONAI Label's calls."""

    name = "casewise, by MONAI Label's calls"

    @contextmanager
    def open(self, image: Image) -> Iterator[Scribbling]:
        with archive_of({"image": image}) as (folder, keys), serving(folder) as server:
            with tempfile.TemporaryDirectory() as copies:
                path = Path(copies) / "image.nrrd"
                path.write_bytes(httpx.get(f"{server.url}/datastore/image?image={keys['image']}", timeout=600).content)
                volume = SimpleITK.ReadImage(str(path))
            shape = volume.GetSize()
            yield Scribbling(server.url, keys["image"], "casewise-scribbles", shape, server.process).like(volume)


def _volume(image: Image) -> SimpleITK.Image:
    array: Any = image.array[0]
    volume = SimpleITK.GetImageFromArray(np.ascontiguousarray((array if array.ndim == 3 else array[..., None]).T))
    volume.SetSpacing([*image.spacing, 1.0][:3])
    return volume


def _wait(url: str, child: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if child.poll() is not None:
            raise RuntimeError(f"MONAI Label ended with {child.returncode} instead of starting.")
        try:
            if httpx.get(f"{url}/info/", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.5)
    raise RuntimeError("MONAI Label did not start within five minutes.")


if __name__ == "__main__":
    install(Path(sys.argv[1]))
