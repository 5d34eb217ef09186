"""A small archive of bright and dark discs from two sites, and a model that only knows the first site."""

from __future__ import annotations

from pathlib import Path

import pytest

from casewise.archive import Archive
from casewise.models import Model, Preparation, Spec
from casewise.training import Settings, fit
from tests.adaptation.discs import DISC, disc


@pytest.fixture(scope="session")
def archive_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive") / "discs"
    with Archive.open(folder, create=True) as archive:
        for number in range(24):
            dark = number >= 12
            image, mask = disc(number, dark)
            archive.add(
                image, {"disc": mask}, site="dark" if dark else "bright", subject=str(number), category="dark" if dark else "bright"
            )
    return folder


@pytest.fixture
def archive(archive_folder: Path):
    with Archive.open(archive_folder) as opened:
        yield opened


@pytest.fixture(scope="session")
def model(archive_folder: Path) -> Model:
    """Trained on the bright site alone: it finds bright discs and takes what surrounds a dark one for the disc."""
    spec = Spec("segmentation", {"kind": "unet", "channels": [4, 8]}, Preparation(size=(32, 32)), structures=(DISC,))
    with Archive.open(archive_folder) as opened:
        cases = opened.cases([DISC], site="bright")
    settings = Settings(steps=120, batch=4, rate=1e-2, augmentation="none", device="cpu")
    return fit(Model.initial("bright", spec), cases, settings=settings, method="initial")
