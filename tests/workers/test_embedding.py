"""An archive's vectors by several processes: each image once, the same as by one."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from casewise.archive import Archive
from casewise.cli import main
from casewise.pipeline import embedding
from casewise.workers import Lost, Make, Processes
from casewise.workers.contract import Item, Outcome


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(12):
        noise = np.random.default_rng(number).normal(90, 30, (64, 64)).clip(0, 255)
        Pillow.fromarray(noise.astype(np.uint8)).save(folder / f"{number}.png")
    return folder


def _vectors(folder: Path) -> dict[str, np.ndarray]:
    with Archive.open(folder) as archive:
        keys, rows, base = archive.vectors(embedding.encoder_of(None, "cpu"))
        return {key: np.array(base[row]) for key, row in zip(keys, rows, strict=True)}


def test_processes_make_the_vectors_that_an_import_makes(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "_BATCH", 3)
    assert main(["import", str(tmp_path / "here"), str(pictures), "--device", "cpu"]) == 0
    assert main(["import", str(tmp_path / "there"), str(pictures), "--device", "cpu", "--workers", "2"]) == 0
    here, there = _vectors(tmp_path / "here"), _vectors(tmp_path / "there")
    assert len(here) == 12 and set(here) == set(there)
    for key, vector in here.items():
        np.testing.assert_allclose(there[key], vector, atol=1e-5)
    with Archive.open(tmp_path / "there") as archive:
        assert embedding.embed_by(Processes(2), archive, None, "cpu") == 0  # nothing is left to do


class Fragile:
    """Workers that all end with one image."""

    size = 1

    def __init__(self, poison: int) -> None:
        self.poison = poison

    def run(self, chunks: Sequence[Sequence[Item]], make: Make[Item, Outcome]) -> Generator[tuple[Item, Outcome | Lost]]:
        with make() as do:
            for chunk in chunks:
                for item in chunk:
                    yield item, Lost("It ended each.") if self.poison in item else next(do([item]))  # type: ignore[operator]


def test_an_image_that_ends_every_worker_costs_its_own_vector_alone(pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    with Archive.open(folder, create=True) as archive:
        archive.import_paths([pictures])
        poison = archive.ids_without_vector(embedding.encoder_of(None, "cpu"))[5]
        assert embedding.embed_by(Fragile(poison), archive, None, "cpu") == 11
        assert archive.ids_without_vector(embedding.encoder_of(None, "cpu")) == [poison]


def test_workers_are_for_files(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["import", str(tmp_path / "a"), "--from", "PACS@127.0.0.1:1", "--accession", "1", "--workers", "2"]
    assert main(words) == 2
    assert "leave them out with --from" in capfd.readouterr().err
