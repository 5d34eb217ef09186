"""``casewise archive``: what an archive holds, counted."""

from __future__ import annotations

from pathlib import Path

from casewise.archive import Archive
from tests.cli.conftest import Call


def test_counts_are_those_of_the_images_that_were_imported(call: Call, archive: Path) -> None:
    done = call("archive", archive, "--json")
    assert done.code == 0, done.err
    document = done.document
    assert (document["images"], document["cases"], document["subjects"], document["without_subject"]) == (16, 16, 16, 0)
    assert document["structures"] == {"disc": 16}
    assert document["categories"] == {"large": 8, "small": 8}
    assert document["sites"] == {"A": 8, "B": 8}
    for word in ("16 images", "disc (16)", "A (8)", "large (8)"):
        assert word in call("archive", archive).out


def test_an_empty_archive_is_one_with_nothing_in_it(call: Call, tmp_path: Path) -> None:
    Archive.open(tmp_path / "a", create=True).close()
    document = call("archive", tmp_path / "a", "--json").document
    assert document["images"] == document["cases"] == 0 and document["structures"] == {} and document["models"] == []


def test_a_folder_that_is_no_archive_is_refused(call: Call, tmp_path: Path) -> None:
    done = call("archive", tmp_path)
    assert done.code == 2 and "no archive" in done.sentence
