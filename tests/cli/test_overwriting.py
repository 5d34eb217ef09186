"""No command replaces an input, or a file that it did not write itself, without --force."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image as Pillow

from casewise.errors import UsageError
from casewise.files import claim, protecting, wrote
from tests.cli.conftest import Call

BOX = ("--box", "16:48,16:48")


def test_an_image_is_never_the_output(call: Call, picture: Path, tmp_path: Path) -> None:
    before = picture.read_bytes()
    link = tmp_path / "link.png"
    link.symlink_to(picture)
    for output in (picture, link):
        for force in ([], ["--force"]):
            done = call("segment", picture, *BOX, "--output", output, *force)
            assert done.code == 2 and "input" in done.sentence and "not overwritten" in done.sentence
    assert picture.read_bytes() == before


def test_strokes_are_an_input_too(call: Call, picture: Path, tmp_path: Path) -> None:
    strokes = tmp_path / "strokes.png"
    Pillow.new("L", (64, 64)).save(strokes)
    done = call("segment", picture, *BOX, "--scribbles", strokes, "--output", strokes)
    assert done.code == 2 and "input" in done.sentence


def test_a_file_of_the_users_is_kept_and_one_of_ours_is_replaced(call: Call, picture: Path, tmp_path: Path) -> None:
    mask = tmp_path / "mask.png"
    mask.write_bytes(b"mine")
    done = call("segment", picture, *BOX, "--output", mask)
    assert done.code == 2 and "--force" in done.sentence and mask.read_bytes() == b"mine"
    assert call("segment", picture, *BOX, "--output", mask, "--force").code == 0
    assert call("segment", picture, "--box", "10:50,10:50", "--output", mask).code == 0, "ours by now"
    mask.write_bytes(mask.read_bytes() + b"corrected")
    assert call("segment", picture, *BOX, "--output", mask).code == 2, "changed by a person since"


@pytest.mark.parametrize("taken", ["new.html", "new.json", "new-files", "new-quality.png"])
def test_analyze_leaves_files_that_have_the_names_of_its_own(call: Call, picture: Path, tmp_path: Path, taken: str) -> None:
    output = tmp_path / "out"
    output.mkdir()
    if taken == "new-files":
        (output / taken).mkdir()
        (output / taken / "mine").write_text("mine")
    else:
        (output / taken).write_text("mine")
    done = call("analyze", picture, "--application", "quality", "--output", output, "--json")
    if taken == "new-quality.png":  # quality writes no such file
        assert done.code == 0
    else:
        assert done.code == 1 and taken in done.err
    mine = output / taken / "mine" if taken == "new-files" else output / taken
    assert mine.read_text() == "mine"
    again = call("analyze", picture, "--application", "quality", "--output", tmp_path / "other")
    assert again.code == 0 and call("analyze", picture, "--application", "quality", "--output", tmp_path / "other").code == 0


def test_an_index_of_the_users_stops_a_call_before_its_work(call: Call, picture: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "index.html").write_text("mine")
    done = call("analyze", picture, picture, "--application", "quality", "--output", output)
    assert done.code == 2 and "index.html" in done.sentence
    assert sorted(path.name for path in output.iterdir()) == ["index.html"]


def test_a_contact_sheet_and_segments_replace_nothing(call: Call, archive: Path, picture: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    sheet.write_bytes(b"mine")
    done = call("similar", archive, picture, "--sheet", sheet)
    assert done.code == 2 and "sheet.png" in done.sentence and sheet.read_bytes() == b"mine"
    region = tmp_path / "region.png"
    canvas = Pillow.new("L", (64, 64))
    canvas.paste(255, (10, 10, 50, 50))
    canvas.save(region)
    pieces = tmp_path / "pieces"
    pieces.mkdir()
    (pieces / "01-disc.png").write_bytes(b"mine")
    words = ["segments", picture, "--region", f"disc={region}", "--output", pieces]
    done = call(*words)
    assert done.code == 2 and "01-disc.png" in done.sentence and (pieces / "01-disc.png").read_bytes() == b"mine"
    assert call(*words, "--force").code == 0 and (pieces / "01-disc.png").read_bytes() != b"mine"


def test_marks_are_kept_without_extended_attributes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*words: object, **options: object) -> bytes:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "setxattr", refused)
    monkeypatch.setattr(os, "getxattr", refused)
    own, other = tmp_path / "own\nfile.txt", tmp_path / "file.txt"
    with protecting([]):
        own.write_text("1")
        other.write_text("1")
        wrote(own)
        claim(own)
        with pytest.raises(UsageError, match="did not write"):
            claim(other)
        own.write_text("2")
        with pytest.raises(UsageError, match="changed since"):
            claim(own)
    claim(other)  # a program that uses casewise as a library decides for itself
