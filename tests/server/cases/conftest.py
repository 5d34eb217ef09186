"""A small archive of real files, its server, and callers of each role."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from casewise.archive import Archive
from casewise.demo.dicom import write_dicom
from casewise.formats import write
from casewise.header import Header
from casewise.image import Image
from casewise.server.app import create_app
from casewise.server.settings import Settings
from casewise.server.store import Store
from casewise.server.worker import Worker
from tests.server.people import signed_in

AFFINE = np.diag([-1.5, 1.2, 2.0, 1.0])


def picture(seed: int, side: int = 48) -> np.ndarray:
    """(row, column) uint8: a bright disc on noise."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side]
    disc = np.hypot(rows - side / 2 - rng.uniform(-6, 6), columns - side / 2 - rng.uniform(-6, 6)) < side / 5
    return np.clip(60 + 120 * disc + rng.normal(0, 12, (side, side)), 0, 255).astype(np.uint8)


def disc(seed: int, side: int = 48) -> np.ndarray:
    """(row, column) bool: the disc of :func:`picture`."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side]
    return np.hypot(rows - side / 2 - rng.uniform(-6, 6), columns - side / 2 - rng.uniform(-6, 6)) < side / 5


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """Three pictures (PNG; the first two with a mask of ``disc``), a volume (NIfTI), an MR slice (DICOM), in this order."""
    files = tmp_path / "given" / "Jane Doe"
    files.mkdir(parents=True)
    with Archive.open(tmp_path / "archive", create=True) as opened:
        for number in range(3):
            path = files / f"film-{number}.png"
            write(path, Image(picture(number)[None]))
            opened.add(path, {"disc": disc(number)} if number < 2 else {}, category="film", site="north", name=str(path))
        volume = np.random.default_rng(9).integers(0, 900, (1, 12, 14, 6)).astype(np.int16)
        write(files / "brain.nii.gz", Image(volume, AFFINE))
        opened.add(files / "brain.nii.gz", category="volume", site="south", subject="p1", name=str(files / "brain.nii.gz"))
        header = Header(modality="MR", sequence="T1", body_part="BRAIN", scanner="X")
        write_dicom(files / "DOE_JANE.dcm", Image(picture(7)[None].astype(np.int16), AFFINE, header), "p1")
        opened.import_paths([files / "DOE_JANE.dcm"], site="west")
        yield opened


@pytest.fixture
def store(archive: Archive) -> Iterator[Store]:
    opened = Store.open(archive.folder)
    yield opened
    opened.close()


@pytest.fixture
def settings() -> Settings:
    return Settings()


@pytest.fixture
def app(archive: Archive, store: Store, settings: Settings) -> Any:
    return create_app(archive, store, settings)


@pytest.fixture
def caller(app: Any) -> Callable[..., TestClient]:
    """``caller("annotator", "ann")``: a client who is signed in with that role, under that name."""

    def make(role: str = "annotator", name: str = "ann") -> TestClient:
        return signed_in(app, role, name)

    return make


@pytest.fixture
def keys(archive: Archive) -> list[str]:
    """Of the archive's images, in the order of the fixture."""
    return [record.key for record in archive.images()]


@pytest.fixture
def work(archive: Archive, store: Store, settings: Settings) -> Callable[[], dict[str, int]]:
    """Do all jobs that wait, as a worker process does; returns state → how many."""
    return lambda: Worker(archive, store, settings).run(once=True)
