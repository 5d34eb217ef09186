"""Files whose names are no UTF-8, are very long, or are there no more: each is done or named, and the others go on."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from casewise.archive import Archive
from casewise.errors import UnreadableImageError
from casewise.json_safe import dumps
from casewise.names import legible
from tests.cli.conftest import Call, disc
from tests.formats.synthetic import Plan, series

BAD = os.fsdecode(b"bad_\xff")


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """good.png, bad_\\xff.png with its mask, a name of 250 bytes, in a folder whose name is no UTF-8 either."""
    folder = tmp_path / os.fsdecode(b"scans_\xe9")
    folder.mkdir()
    for number, name in enumerate(("good", BAD, "患" * 82)):
        picture, mask = disc(number)
        Pillow.fromarray(picture).save(folder / f"{name}.png")
        if name == BAD:
            Pillow.fromarray(mask).save(folder / f"{BAD}_mask.png")
    (folder / "t.csv").write_bytes(b"image,age\ngood,40\n")
    os.mkfifo(folder / "pipe_mask.png")
    os.mkfifo(folder / "pipe.nii.gz")
    return folder


def test_odd_names_are_imported_and_found_again(odd: Path, call: Call, model: Path, tmp_path: Path) -> None:
    answer = call("import", tmp_path / "archive", odd, "--model", model, "--json")
    assert answer.code == 0, answer.err
    document = json.loads(answer.out.encode())
    assert (document["added"], document["failed"], document["masks"]) == (3, [], {"mask": 1})
    assert document["sites"] == {"scans_\\xe9": 3}
    assert {Path(one["path"]).name for one in document["skipped"]} == {"pipe_mask.png", "pipe.nii.gz"}
    with Archive.open(tmp_path / "archive") as archive:
        (case,) = archive.cases(["mask"])
        assert Path(case.name).name == f"{BAD}.png"
        assert case.load_masks["mask"]().any() and case.image.array.shape == (1, 64, 64)
        again = archive.import_paths([odd])
        assert (again.added, again.known, again.labels) == (0, 3, 0)
    plain = call("import", tmp_path / "archive", odd, "--model", model)
    assert plain.code == 0 and "Masks: mask 1." in plain.out and "Sites: scans_\\xe9 3. Subjects: not known." in plain.out


def test_odd_names_are_named_in_every_answer(odd: Path, call: Call, model: Path, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    call("import", archive, odd, "--model", model)
    found = call("similar", archive, odd / "good.png", "--model", model, "--sheet", tmp_path / "sheet.png", "--json")
    assert found.code == 0, found.err
    assert {Path(case["image"]).name for case in found.document["similar"]} == {"bad_\\xff.png", "患" * 82 + ".png"}
    names = [odd / f"{BAD}.png", odd / f"{'患' * 82}.png"]
    done = call("analyze", *names, "--model", model, "--archive", archive, "--application", "quality",
                "--output", tmp_path / "out", "--json")  # fmt: skip
    assert done.code == 0, done.err
    assert [Path(one["image"]).name for one in done.document] == [legible(name.name) for name in names]
    assert all(Path(one["report"]).exists() for one in done.document)
    gone = call("analyze", odd / f"{BAD}2.png", "--model", model, "--output", tmp_path / "out2", "--json")
    assert gone.code == 1 and "bad_" in gone.sentence


def test_a_series_with_a_name_that_is_no_text_keeps_all_its_slices(tmp_path: Path) -> None:
    files = series(tmp_path / "d", Plan())
    files[2].rename(tmp_path / "d" / f"{BAD}.dcm")
    for copy in (False, True):
        with Archive.open(tmp_path / f"archive{copy}", create=True) as archive:
            report = archive.import_paths([tmp_path / "d"], copy=copy)
            (case,) = archive.cases()
            assert (report.added, report.failed, case.image.array.shape[-1]) == (1, [], len(files))


def test_moved_files_are_said_to_be_moved(tmp_path: Path) -> None:
    picture, mask = disc(1)
    (tmp_path / "d").mkdir()
    Pillow.fromarray(picture).save(tmp_path / "d" / "a.png")
    Pillow.fromarray(mask).save(tmp_path / "d" / "a_mask.png")
    files = series(tmp_path / "s", Plan())
    with Archive.open(tmp_path / "archive", create=True) as archive:
        archive.import_paths([tmp_path / "d", tmp_path / "s"])
        picture_case, series_case = sorted(archive.cases(), key=lambda case: case.name)
        (tmp_path / "d" / "a_mask.png").unlink()
        files[1].rename(tmp_path / "elsewhere.dcm")
        for load, gone in ((picture_case.load_masks["mask"], "a_mask.png"), (series_case.load_image, files[1].name)):
            with pytest.raises(UnreadableImageError, match="was moved or deleted") as caught:
                load()
            assert gone in str(caught.value) and "damaged" not in str(caught.value)
        (tmp_path / "d" / "a.png").rename(tmp_path / "d" / "b.png")
        with pytest.raises(UnreadableImageError, match=r"a\.png was moved or deleted"):
            _ = picture_case.image


def test_a_pipe_given_by_name_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with Archive.open(tmp_path / "archive", create=True) as archive:
        report = archive.import_paths([tmp_path / "pipe.png"])
    assert "pipe" in report.failed[0].reason and report.added == 0


@pytest.mark.parametrize("text", [BAD, "\ud800", "a\udfffb", "\udcff\ud812", "患者"])
def test_json_is_text_for_every_reader(text: str) -> None:
    written = dumps({"name": text, text: Path(text)})
    written.encode("utf-8")
    assert json.loads(written)["name"] == legible(text)
    np.testing.assert_equal("\\x" in legible(text) or "\\u" in legible(text), text != "患者")
