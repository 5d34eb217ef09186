"""No file of an earlier image of the same name stays beside a new result, and nothing that a person made or changed goes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from casewise import formats
from casewise.case import Structure
from casewise.files import LEDGER, remove_left_over
from casewise.models import Model, Preparation, Spec
from tests.cli.conftest import Call, disc
from tests.formats.synthetic import instance

FILM = "montgomery/images/MCUCXR_0003_0.png"
BOX = ("--box", "16:48,16:48")


@pytest.fixture(params=[True, False], ids=["attributes", "ledger"])
def marks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system with extended attributes, and one without."""
    if not request.param:

        def refused(*words: object, **options: object) -> bytes:
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr("os.setxattr", refused)
        monkeypatch.setattr("os.getxattr", refused)


@pytest.fixture
def films(shared_data: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A film, and half of another of the same name, which has fewer regions."""
    whole, half = tmp_path / "whole" / "film.png", tmp_path / "half" / "film.png"
    for path in (whole, half):
        path.parent.mkdir()
    shutil.copy(shared_data / FILM, whole)
    Pillow.fromarray(np.ascontiguousarray(formats.read(whole).array[0, :, :256])).save(half)
    return whole, half


def files_in(folder: Path) -> set[str]:
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and path.name != LEDGER)
    return {name for name in found if not name.startswith(".")}


def change(path: Path) -> bytes:
    """As a person corrects a mask and saves it."""
    content = path.read_bytes() + b"corrected"
    path.unlink()
    path.write_bytes(content)
    return content


def test_regions_of_an_earlier_film_do_not_stay(call: Call, films: tuple[Path, Path], tmp_path: Path, marks: None) -> None:
    whole, half = films
    output = tmp_path / "out"
    assert call("regions", whole, "--output", output).code == 0
    first = files_in(output)
    mine = change(output / "film-heart.png")
    (output / "film-notes.txt").write_text("mine")
    done = call("regions", half, "--output", output, "--json")
    assert done.code == 0
    written = {Path(entry["mask"]).name for entry in done.document[0]["regions"]}
    assert written and not written & first
    assert files_in(output) == written | {"film-heart.png", "film-notes.txt"}
    assert (output / "film-heart.png").read_bytes() == mine and "film-heart.png" in done.sentence


def test_nothing_of_a_film_is_written_where_one_mask_must_stay(call: Call, films: tuple[Path, Path], tmp_path: Path) -> None:
    whole, _ = films
    output = tmp_path / "out"
    output.mkdir()
    (output / "film-heart.png").write_bytes(b"mine")
    done = call("regions", whole, "--output", output)
    assert done.code == 1 and "film-heart.png" in done.sentence
    assert files_in(output) == {"film-heart.png"} and (output / "film-heart.png").read_bytes() == b"mine"


def test_segments_of_an_earlier_film_do_not_stay(call: Call, films: tuple[Path, Path], tmp_path: Path, marks: None) -> None:
    whole, half = films
    output = tmp_path / "out"
    assert call("segments", whole, "--output", output).code == 0
    first = sorted(files_in(output))
    mine = change(output / first[-1])
    (output / "99-mine.png").write_bytes(b"mine")
    done = call("segments", half, "--output", output, "--json")
    assert done.code == 0
    written = {Path(entry["picture"]).name for entry in done.document}
    assert files_in(output) == written | {first[-1], "99-mine.png"} and (output / first[-1]).read_bytes() == mine
    assert first[-1] in done.sentence and "99-mine.png" in done.sentence


def test_a_segmentation_of_another_image_does_not_stay(call: Call, picture: Path, tmp_path: Path) -> None:
    scan = instance(tmp_path / "scan.dcm", disc(3)[0].astype(np.uint16), Modality="US")
    mask = tmp_path / "out" / "mask.png"
    assert call("segment", scan, *BOX, "--output", mask).code == 0
    assert files_in(tmp_path / "out") == {"mask.png", "mask.seg.dcm"}
    assert call("segment", picture, *BOX, "--output", mask).code == 0
    assert files_in(tmp_path / "out") == {"mask.png"}


@pytest.fixture
def segmenter(tmp_path: Path) -> Callable[[str], Path]:
    """An untrained model of one structure."""

    def made(structure: str) -> Path:
        network = {"kind": "unet", "channels": [4, 8, 16]}
        spec = Spec("segmentation", network, Preparation(2, (64, 64)), structures=(Structure(structure, (structure,)),))
        return Model.initial(structure, spec).save(tmp_path / f"model-{structure}")

    return made


def test_masks_of_another_model_do_not_stay(call: Call, picture: Path, segmenter: Callable[[str], Path], tmp_path: Path) -> None:
    output = tmp_path / "out"
    words = ["analyze", picture, "--application", "organs", "--output", output, "--json", "--model"]
    assert call(*words, segmenter("disc")).code == 0
    assert files_in(output) == {"new.html", "new.json", "new-disc.png"}
    done = call(*words, segmenter("ring"))
    assert done.code == 0 and files_in(output) == {"new.html", "new.json", "new-ring.png"}
    assert done.document[0]["files"] == ["new-ring.png"]
    mine = change(output / "new-ring.png")
    for structure in ("disc-again", "disc-once-more"):
        done = call(*words, segmenter(structure))
        assert done.code == 0 and any("new-ring.png" in note for note in done.document[0]["notes"])
        assert files_in(output) == {"new.html", "new.json", f"new-{structure}.png", "new-ring.png"}
        assert (output / "new-ring.png").read_bytes() == mine


def test_files_of_applications_are_replaced_and_corrected_ones_kept(call: Call, films: tuple[Path, Path], tmp_path: Path) -> None:
    whole, half = films
    output = tmp_path / "out"
    place = output / "film-files" / "chest-regions"
    words = ["--application", "chest-regions", "--output", output, "--json"]
    assert call("analyze", whole, *words).code == 0
    assert (place / "chest-regions-heart.png").is_file()
    (place / "mine.txt").write_text("mine")
    done = call("analyze", half, *words)
    assert done.code == 0
    listed = {Path(entry["mask"]).relative_to(output).as_posix() for entry in done.document[0]["findings"]}
    assert files_in(output) == {"film.html", "film.json", "film-files/chest-regions/mine.txt", *listed}
    corrected = output / min(listed)
    mine = change(corrected)
    done = call("analyze", half, *words)
    assert done.code == 1 and corrected.name in done.err and "--force" in done.err and corrected.read_bytes() == mine
    assert call("analyze", half, *words, "--force").code == 0 and corrected.read_bytes() != mine


def test_a_result_that_says_it_has_files_elsewhere_removes_none(call: Call, picture: Path, tmp_path: Path) -> None:
    """A NAME.json made by somebody else, where --force lets it be replaced."""
    output = tmp_path / "out"
    output.mkdir()
    outside = tmp_path / "new-outside.png"
    outside.write_bytes(b"1")
    listed = ["../new-outside.png", str(outside), "new-files/../../new-outside.png", "other.png", "new-a\\u0000.png", 7, ""]
    (output / "other.png").write_bytes(b"1")
    for text in (repr(listed).replace("'", '"'), "7"):
        (output / "new.json").write_text(f'{{"files": {text}}}')
        assert call("analyze", picture, "--application", "quality", "--output", output, "--force").code == 0
        assert outside.is_file() and (output / "other.png").is_file()


def test_a_program_that_uses_casewise_removes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("1")
    assert remove_left_over([path, tmp_path / "none"]) == [path] and path.is_file()
