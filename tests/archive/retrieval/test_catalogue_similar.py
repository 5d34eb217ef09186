"""The cases most like an image, by vectors, by content, and within a region."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from casewise.archive import Archive
from casewise.errors import UsageError
from casewise.image import Image
from tests.image_trees import MeanEncoder, paired, picture


def _grey(level: int, sex: str | None = None, corner: int | None = None) -> Image:
    array = np.full((1, 12, 12), level, np.uint8)
    array[0, ::3] += 10
    if corner is not None:
        array[0, :4, :4] = corner
    header = {"spacing_known": False} | ({"sex": sex} if sex else {})
    return Image(array, header=header)


def test_latent_content_and_both(tmp_path: Path) -> None:
    with Archive.open(tmp_path / "a", create=True) as archive:
        dark = archive.add(_grey(20, "F"), name="dark")
        middle = archive.add(_grey(100, "M"), name="middle")
        light = archive.add(_grey(200, "F"), name="light")
        query = _grey(190, "M")
        by_latent = archive.similar(query, k=3, by=("latent",), encoder=MeanEncoder())
        assert [case.key for case in by_latent] == [light, middle, dark] or by_latent[0].key == light
        assert all(case.content is None and case.latent == case.score for case in by_latent)
        by_content = archive.similar(query, k=3, by=("content",))
        assert by_content[0].key == middle and by_content[0].content == 1.0 and by_content[0].latent is None
        both = archive.similar(query, k=3, encoder=MeanEncoder())
        for case in both:
            assert case.score == pytest.approx(0.7 * (case.latent or 0) + 0.3 * (case.content or 0))
        assert [case.score for case in both] == sorted((case.score for case in both), reverse=True)


def test_the_image_itself_and_what_is_excluded_are_not_found(tmp_path: Path) -> None:
    with Archive.open(tmp_path / "a", create=True) as archive:
        keys = [archive.add(_grey(level)) for level in (20, 60, 100, 140)]
        found = archive.similar(_grey(60), k=9, encoder=MeanEncoder())
        assert {case.key for case in found} == {keys[0], keys[2], keys[3]}
        found = archive.similar(_grey(60), k=9, encoder=MeanEncoder(), exclude=[keys[0]], unseen_by={keys[2]})
        assert [case.key for case in found] == [keys[3]]
        assert [case.key for case in archive.similar(_grey(60), encoder=MeanEncoder(), among={keys[2]})] == [keys[2]]


def test_an_imported_image_read_from_its_file_is_left_out(tmp_path: Path) -> None:
    data = paired(tmp_path / "chest", 3)
    picture(data / "images" / "z9.png", 99)
    with Archive.open(tmp_path / "a", create=True) as archive:
        archive.import_paths([data])
        query = archive.cases()[0]
        found = archive.similar(query.image, k=9, encoder=MeanEncoder())
        assert len(found) == 3 and query.key not in {case.key for case in found}
        assert len(archive.similar(query.image, k=9, encoder=MeanEncoder(), structures=["lung"])) == 2


def test_within_a_region_the_region_decides(tmp_path: Path) -> None:
    region = np.zeros((12, 12), bool)
    region[:4, :4] = True
    with Archive.open(tmp_path / "a", create=True) as archive:
        archive.add(_grey(100, corner=5), name="as a whole alike")
        archive.add(_grey(90, corner=250), name="alike in the corner")
        archive.add(_grey(30, corner=60), name="neither")
        query = _grey(100, corner=249)
        (best,) = archive.similar(query, k=1, by=("latent",), encoder=MeanEncoder(), region=region)
    assert best.image == "alike in the corner"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"by": ("looks",)}, "latent, content or both"),
        ({"by": ()}, "nothing"),
        ({}, "needs an encoder"),
        ({"by": ("content",), "k": 0}, "k = 0"),
        ({"by": ("content",), "region": np.ones((4, 4), bool)}, "region"),
    ],
)
def test_wrong_questions(tmp_path: Path, options: dict, said: str) -> None:
    with Archive.open(tmp_path / "a", create=True) as archive, pytest.raises(UsageError, match=said):
        archive.similar(Image(np.zeros((1, 4, 4), np.uint8)), **options)


def test_an_empty_archive_has_nothing_similar(tmp_path: Path) -> None:
    with Archive.open(tmp_path / "a", create=True) as archive:
        assert archive.similar(Image(np.zeros((1, 4, 4), np.uint8)), encoder=MeanEncoder()) == []
