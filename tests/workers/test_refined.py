"""Many images with a model that is refined for each, by several processes: the same as by one, and each vector made once."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from casewise.archive import Archive
from casewise.models import Model, Preparation, Spec
from casewise.pipeline.archived import analyze_all
from casewise.pipeline.embedding import encoder_of
from casewise.pipeline.many import Options, analyze_many
from casewise.threads import one_thread
from casewise.training import Settings, fit
from casewise.workers import Here, Lost, Make, Processes, Workers
from casewise.workers.contract import Item, Outcome
from tests.adaptation.discs import DISC, disc


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Sixteen dark discs, none with a vector."""
    with Archive.open(tmp_path / "archive", create=True) as opened:
        for number in range(16):
            image, mask = disc(number, dark=True)
            opened.add(image, {"disc": mask}, subject=str(number), name=f"{number}.png")
    return tmp_path / "archive"


@pytest.fixture
def model(tmp_path: Path, archive: Path) -> Path:
    """Knows two of them."""
    spec = Spec("segmentation", {"kind": "unet", "channels": [4, 8]}, Preparation(size=(32, 32)), structures=(DISC,))
    settings = Settings(steps=20, batch=4, rate=1e-2, augmentation="none", device="cpu")
    with Archive.open(archive) as opened:
        return fit(Model.initial("dark", spec), opened.cases([DISC])[:2], settings=settings, method="initial").save(
            tmp_path / "dark"
        )


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"new{number}.png" for number in range(2)]
    for number, path in enumerate(paths):
        Pillow.fromarray(disc(50 + number, dark=True)[0].array[0].astype(np.uint8)).save(path)
    return paths


class Watched:
    """Processes; before each of their runs it is noted how many images of the archive have no vector."""

    size = 2

    def __init__(self, archive: Path, model: Path) -> None:
        self._archive, self._model, self.missing = archive, str(model), list[int]()

    def run(self, chunks: Sequence[Sequence[Item]], make: Make[Item, Outcome]) -> Generator[tuple[Item, Outcome | Lost]]:
        with Archive.open(self._archive) as archive:
            self.missing.append(len(archive.ids_without_vector(encoder_of(self._model, "cpu"))))
        return Processes(self.size).run(chunks, make)


def _results(pictures: list[Path], options: Options, output: Path, workers: Workers) -> list[Any]:
    outcomes = analyze_many(pictures, options, output, workers)
    documents = [json.loads(Path(outcome["document"]).read_text()) for outcome in outcomes]
    masks = {str(path.relative_to(output)): path.read_bytes() for path in sorted(output.glob("*.png"))}
    return [[document["model"], document["similar"]] for document in documents] + [masks]


def test_models_are_refined_by_processes_as_by_one(archive: Path, model: Path, pictures: list[Path], tmp_path: Path) -> None:
    options = Options(model=model, archive=archive, adapt="similar", application="organs", device="cpu")
    watched = Watched(archive, model)
    there = _results(pictures, options, tmp_path / "there", watched)
    assert watched.missing == [16, 0]  # each is made by one worker, before the first image is analysed
    with one_thread():
        here = _results(pictures, options, tmp_path / "here", Here())
    assert here == there
    assert [one[0]["name"] for one in here[:-1]] == ["dark+similar", "dark+similar"]
    assert list(here[-1]) == ["new0-disc.png", "new1-disc.png"]


def test_an_archives_own_images_are_compared_by_vectors_that_are_made_first(archive: Path, model: Path) -> None:
    options = Options(model=model, archive=archive, adapt="none", application="organs", device="cpu")
    watched = Watched(archive, model)
    assert analyze_all(options, watched).done == 16
    assert watched.missing == [16, 0]
    assert analyze_all(options, watched).kept == 16 and len(watched.missing) == 3  # no vector is looked for in vain
