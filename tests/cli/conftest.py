"""A small archive, a small model, and a way to call the command line."""

from __future__ import annotations

import csv
import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from casewise.cli import main


@dataclass(frozen=True)
class Called:
    """What a call ended with."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> object:
        return json.loads(self.out)

    @property
    def sentence(self) -> str:
        """The one line of stderr; fails where there is none, or more, or a traceback."""
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert "Traceback" not in lines[0]
        return lines[0]


Call = Callable[..., Called]


def on_terminal(command: Sequence[str]) -> Called:
    """Run a command whose stderr is a terminal, and whose stdout is a pipe."""
    parent, child = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "200"}
    process = subprocess.Popen(command, stderr=child, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, env=environment)
    os.close(child)
    drawn, out = b"", b""
    assert process.stdout is not None
    reading = {parent, process.stdout.fileno()}
    deadline = time.monotonic() + 120
    while reading and time.monotonic() < deadline:
        for ready in select.select(list(reading), [], [], 1.0)[0]:
            try:
                part = os.read(ready, 65536)
            except OSError:  # the terminal's other end was closed
                part = b""
            drawn, out = (drawn + part, out) if ready == parent else (drawn, out + part)
            reading -= set() if part else {ready}
    code = process.wait(timeout=120)
    process.stdout.close()
    os.close(parent)
    return Called(code, out.decode(), drawn.decode(errors="replace"))


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run a command line in this process (torch is loaded once for all of them)."""

    def run(*arguments: object) -> Called:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Called(code, captured.out, captured.err)

    monkeypatch.delenv("CASEWISE_DEBUG", raising=False)
    return run


@pytest.fixture
def spawn() -> Call:
    """Run a command line in a process of its own, as a user does."""

    def run(*arguments: object, **environment: str) -> Called:
        done = subprocess.run(
            [sys.executable, "-m", "casewise", *map(str, arguments)],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env={key: value for key, value in os.environ.items() if key != "CASEWISE_DEBUG"} | environment,
            timeout=120,
        )
        return Called(done.returncode, done.stdout, done.stderr)

    return run


def disc(number: int, size: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """(picture, mask), each (row, column) uint8: a bright disc of its own place and size on noise."""
    rng = np.random.default_rng(number)
    rows, columns = np.mgrid[:size, :size]
    centre = rng.uniform(0.35, 0.65, 2) * size
    mask = np.hypot(rows - centre[0], columns - centre[1]) < rng.uniform(0.15, 0.25) * size
    picture = rng.normal(60, 10, (size, size)) + 100 * mask
    return picture.clip(0, 255).astype(np.uint8), mask.astype(np.uint8) * 255


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 16 pictures with masks and a manifest: two sites, two categories."""
    folder = tmp_path_factory.mktemp("pictures")
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "mask:disc", "category", "subject", "site", "age", "sex"])
        for number in range(16):
            picture, mask = disc(number)
            Pillow.fromarray(picture).save(folder / f"p{number:02d}.png")
            Pillow.fromarray(mask).save(folder / f"p{number:02d}_mask.png")
            category, site, sex = ("small", "large")[number % 2], ("A", "B")[number // 8], "MF"[number % 2]
            table.writerow([f"p{number:02d}.png", f"p{number:02d}_mask.png", category, f"s{number}", site, 40 + number, sex])
    return folder


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained segmenter of discs."""
    from casewise.case import Structure
    from casewise.models import Model, Preparation, Spec

    network = {"kind": "unet", "channels": [4, 8, 16]}
    spec = Spec("segmentation", network, Preparation(2, (64, 64)), structures=(Structure("disc", ("disc",)),))
    return Model.initial("discs", spec).save(tmp_path_factory.mktemp("models") / "discs")


@pytest.fixture(scope="session")
def archive(pictures: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of the 16 pictures with the model's vectors; tests only read it."""
    folder = tmp_path_factory.mktemp("archive") / "discs"
    assert main(["import", str(folder), str(pictures), "--manifest", str(pictures / "labels.csv"), "--model", str(model)]) == 0
    return folder


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A picture that no archive holds."""
    path = tmp_path / "new.png"
    Pillow.fromarray(disc(99)[0]).save(path)
    return path
