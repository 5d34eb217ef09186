"""Every bad input ends in one clear sentence and the right exit code, never in a traceback."""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image as Pillow

from tests.cli.conftest import Call


def text_as_dicom(folder: Path) -> Path:
    path = folder / "text.dcm"
    path.write_text("this is no DICOM file")
    return path


def empty_folder(folder: Path) -> Path:
    path = folder / "empty"
    path.mkdir()
    return path


def nan_volume(folder: Path) -> Path:
    path = folder / "nan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.full((16, 16, 16), np.nan, np.float32), np.eye(4)), path)
    return path


def truncated_volume(folder: Path) -> Path:
    whole = folder / "whole.nii"
    nibabel.save(nibabel.Nifti1Image(np.random.default_rng(0).normal(size=(16, 16, 16)).astype(np.float32), np.eye(4)), whole)
    path = folder / "cut.nii"
    path.write_bytes(whole.read_bytes()[:1000])
    return path


def several_volumes(folder: Path) -> Path:
    path = folder / "four.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.random.default_rng(0).normal(size=(16, 16, 4, 3)).astype(np.float32), np.eye(4)), path)
    return path


def missing(folder: Path) -> Path:
    return folder / "missing.nii.gz"


UNREADABLE = [missing, empty_folder, text_as_dicom, truncated_volume, several_volumes]


@pytest.mark.parametrize("make", UNREADABLE, ids=lambda make: make.__name__)
def test_what_cannot_be_read_is_named(make: Callable[[Path], Path], call: Call, archive: Path, model: Path, tmp_path: Path) -> None:
    path = make(tmp_path)
    similar = call("similar", archive, path, "--model", model, "--json")
    assert (similar.code, similar.out) == (2, "")
    assert path.name in similar.sentence
    analysed = call("analyze", path, "--model", model, "--output", tmp_path / "out", "--json")
    assert analysed.code == 1
    assert analysed.document == []
    assert str(path) in analysed.sentence


@pytest.mark.parametrize("name", ["1x1", "constant", "nan"])
def test_images_without_content_give_an_answer_or_a_sentence(
    name: str, call: Call, archive: Path, model: Path, tmp_path: Path
) -> None:
    path = tmp_path / f"{name}.png"
    if name == "1x1":
        Pillow.fromarray(np.full((1, 1), 7, np.uint8)).save(path)
    elif name == "constant":
        Pillow.fromarray(np.full((64, 64), 7, np.uint8)).save(path)
    else:
        path = nan_volume(tmp_path)
    for words in (
        ("import", tmp_path / "a", path, "--model", model),
        ("similar", archive, path, "--model", model),
        ("analyze", path, "--model", model, "--archive", archive, "--output", tmp_path / "out"),
    ):
        done = call(*words, "--json")
        if done.code == 0:
            assert done.err == ""
            assert done.document
        else:
            assert done.code == (2 if words[0] == "similar" else 1)
            assert path.name in done.sentence


@pytest.mark.parametrize(
    ("table", "reported"),
    [
        ("image,masks\nx.png,y.png\n", "mask"),
        ("picture,category\nx.png,a\n", "image"),
        ("image,age\nx.png,old\n", "age"),
        ("", "empty"),
        (None, "manifest"),
    ],
)
def test_a_wrong_manifest_is_refused_as_a_whole(table: str | None, reported: str, call: Call, model: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "labels.csv"
    if table is not None:
        manifest.write_text(table)
    done = call("import", tmp_path / "a", tmp_path, "--manifest", manifest, "--model", model, "--json")
    assert (done.code, done.out) == (2, "")
    assert reported in done.sentence
    assert "labels.csv" in done.sentence


def test_a_row_whose_mask_fits_another_rows_image_alone_ends_with_1(call: Call, model: Path, tmp_path: Path) -> None:
    for name, size in (("a", 64), ("b", 48), ("mask", 64)):
        Pillow.fromarray(np.tile(np.arange(size, dtype=np.uint8) // 32 * 255, (size, 1))).save(tmp_path / f"{name}.png")
    (tmp_path / "m.csv").write_text("image,mask:disc\na.png,mask.png\nb.png,mask.png\n")
    done = call("import", tmp_path / "new", tmp_path / "a.png", "--manifest", tmp_path / "m.csv", "--model", model)
    assert done.code == 1 and str(tmp_path / "b.png") in done.sentence and "without its mask" in done.sentence


@pytest.mark.parametrize("words", [("similar", "{archive}", "{picture}"), ("train", "classifier", "{archive}", "-o", "{new}")])
def test_an_archive_that_is_missing_or_newer_is_refused(
    words: tuple[str, ...], call: Call, archive: Path, picture: Path, tmp_path: Path
) -> None:
    newer = Path(shutil.copytree(archive, tmp_path / "newer"))
    about = newer / "casewise.toml"
    about.write_text(
        "".join("version = 999\n" if line.startswith("version") else f"{line}\n" for line in about.read_text().splitlines())
    )
    file = tmp_path / "file"
    file.write_text("")
    for location, reported in ((newer, "999"), (tmp_path / "nowhere", "nowhere"), (tmp_path, "no archive"), (file, "folder")):
        done = call(*(word.format(archive=location, picture=picture, new=tmp_path / "new") for word in words), "--json")
        assert (done.code, done.out) == (2, "")
        assert reported in done.sentence


@pytest.mark.parametrize("damage", ["missing", "no model", "toml", "weights", "newer"])
def test_a_model_that_is_missing_or_damaged_is_refused(damage: str, call: Call, model: Path, picture: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    if damage == "no model":
        own.mkdir()
    elif damage != "missing":
        shutil.copytree(model, own)
    if damage == "toml":
        (own / "model.toml").write_text("format = [")
    elif damage == "weights":
        data = (own / "weights.safetensors").read_bytes()
        (own / "weights.safetensors").write_bytes(data[: len(data) // 2])
    elif damage == "newer":
        text = (own / "model.toml").read_text()
        (own / "model.toml").write_text(text.replace("format = 1", "format = 999"))
    done = call("analyze", picture, "--model", own, "--output", tmp_path / "out", "--json")
    assert (done.code, done.out) == (2, "")
    assert "own" in done.sentence


def test_a_gpu_that_is_not_there_is_named(call: Call, model: Path, picture: Path, tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    done = call("analyze", picture, "--model", model, "--device", "cuda", "--output", tmp_path / "out")
    assert done.code == 2
    assert "--device" in done.sentence


def without_override() -> None:
    """In a child process: take from root the right to write where permissions forbid it (Linux: CAP_DAC_OVERRIDE)."""
    if os.geteuid() == 0:
        drop_from_bounding_set, dac_override = 24, 1
        if ctypes.CDLL(None).prctl(drop_from_bounding_set, dac_override, 0, 0, 0) != 0:
            os._exit(77)


@pytest.mark.parametrize("command", ["import", "analyze", "train"])
def test_a_folder_that_cannot_be_written_is_named(command: str, archive: Path, model: Path, picture: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o555)
    target = locked / "new"
    words = {
        "import": ["import", target, picture, "--model", model],
        "analyze": ["analyze", picture, "--model", model, "--output", target],
        "train": ["train", "segmenter", archive, "--structure", "disc", "--output", target],
    }[command]
    done = subprocess.run(
        [sys.executable, "-m", "casewise", *map(str, words), "--json"],
        capture_output=True,
        text=True,
        preexec_fn=without_override,
    )
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "writ" in done.stderr


@pytest.mark.parametrize("command", ["import", "analyze"])
def test_a_full_disk_is_named(command: str, pictures: Path, model: Path, picture: Path, tmp_path: Path) -> None:
    """No file may grow past 8 KiB: the catalogue, a report and a mask cannot be written."""

    def small_files() -> None:
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))

    words = {
        "import": ["import", tmp_path / "a", pictures, "--model", model],
        "analyze": ["analyze", picture, "--model", model, "--output", tmp_path / "out"],
    }[command]
    done = subprocess.run(
        [sys.executable, "-B", "-m", "casewise", *map(str, words)],
        capture_output=True,
        text=True,
        preexec_fn=small_files,
    )
    assert done.returncode in (1, 2), done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert any(word in lines[0].lower() for word in ("disk", "space", "too large")), lines[0]


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A file that is named as a picture and is none: what looks at the image before the output names it."""
    path = tmp_path / "damaged.png"
    path.write_bytes(b"no picture")
    return path


def with_output(command: str, image: Path, archive: Path, folder: Path) -> list[object]:
    """The words of a command that writes into ``folder``."""
    return {
        "regions": ["regions", image, "--output", folder],
        "segments": ["segments", image, "--output", folder],
        "segment": ["segment", image, "--box", "2:9,2:9", "--output", folder / "mask.png"],
        "similar": ["similar", archive, image, "--sheet", folder / "sheet.png"],
    }[command]


WRITERS = ["regions", "segments", "segment", "similar"]


@pytest.mark.parametrize("below", [".", "new/deeper"])
@pytest.mark.parametrize("command", WRITERS)
def test_an_output_below_a_file_is_refused_before_the_image_is_read(
    command: str, below: str, call: Call, archive: Path, damaged: Path, tmp_path: Path
) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("mine")
    done = call(*with_output(command, damaged, archive, file / below), "--json")
    assert (done.code, done.out) == (2, "")
    assert str(file) in done.sentence and "is not a folder" in done.sentence and damaged.name not in done.sentence
    assert file.read_text() == "mine"


@pytest.mark.parametrize("command", WRITERS)
def test_an_output_that_may_not_be_written_is_refused_before_the_image_is_read(
    command: str, archive: Path, damaged: Path, tmp_path: Path
) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o555)
    done = subprocess.run(
        [sys.executable, "-m", "casewise", *map(str, with_output(command, damaged, archive, locked / "new")), "--json"],
        capture_output=True,
        text=True,
        preexec_fn=without_override,
    )
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert f"{locked} cannot be written to" in done.stderr and damaged.name not in done.stderr


@pytest.mark.parametrize(
    "words", [("segment", "{image}", "--box", "2:9,2:9", "--output"), ("similar", "{archive}", "{image}", "--sheet")]
)
def test_a_folder_in_place_of_an_output_file_is_refused_before_the_image_is_read(
    words: tuple[str, ...], call: Call, archive: Path, damaged: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    done = call(*(word.format(image=damaged, archive=archive) for word in words), folder, "--force", "--json")
    assert (done.code, done.out) == (2, "")
    assert f"{folder} is a folder" in done.sentence and damaged.name not in done.sentence
