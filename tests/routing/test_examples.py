"""What the archive shows of the category an image was routed to, with and without a model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from casewise import formats
from casewise.archive import Archive
from casewise.header import Header
from casewise.image import Image
from casewise.pipeline import Analyzer
from casewise.result import Result
from casewise.routing.examples import DISPLAYED, Examples
from casewise.routing.route import UNKNOWN, Route, Score
from tests.image_trees import MeanEncoder
from tests.reporting.pages import Page

CHEST, HAND = range(20, 160, 20), (15, 90)


def grey(level: int) -> Image:
    array = np.full((1, 12, 12), level, np.uint8)
    array[0, ::3] += 10
    return Image(array, header=Header(spacing_known=False))


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """Seven chest radiographs, named as a person might name them, two hands, and an image of no category."""
    with Archive.open(tmp_path / "archive", create=True) as archive:
        for level in CHEST:
            archive.add(grey(level), category="Chest X-ray", name=f"chest {level}", site="A")
        for level in HAND:
            archive.add(grey(level), category="hand-xray", name=f"hand {level}")
        archive.add(grey(91), name="nameless")
        yield archive


class Sure:
    """A router that has made up its mind."""

    def __init__(self, category: str) -> None:
        self.category = category

    def route(self, image: Image, **_: object) -> Route:
        return Route(self.category, 0.9, (Score(self.category, 0.9), Score("other", 0.1)))


def analysed(archive: Archive, tmp_path: Path, category: str) -> Result:
    path = formats.write(tmp_path / "new.png", grey(92))
    return Analyzer(None, tmp_path / "out", archive=archive, router=Sure(category)).one(path)  # type: ignore[arg-type]


def test_they_are_of_the_category_and_the_nearest_comes_first(archive: Archive) -> None:
    found, note = Examples(archive, MeanEncoder()).nearest(grey(99), "chest-xray")
    assert note is None
    assert len(found) == DISPLAYED < len(CHEST)
    assert {case.category for case in found} == {"Chest X-ray"}
    assert [case.score for case in found] == sorted((case.score for case in found), reverse=True)


def test_the_image_itself_is_no_example_of_itself(archive: Archive) -> None:
    found, note = Examples(archive, MeanEncoder()).nearest(grey(HAND[0]), "hand-xray")
    assert [case.image for case in found] == [f"hand {HAND[1]}"]
    assert note is None


@pytest.mark.parametrize(("category", "said"), [(UNKNOWN, None), ("head-ct", "head-ct")])
def test_where_there_are_none_it_says_so_and_unknown_has_none(archive: Archive, category: str, said: str | None) -> None:
    found, note = Examples(archive, MeanEncoder()).nearest(grey(99), category)
    assert found == ()
    assert (note is None) if said is None else (note is not None and said in note)


def test_images_that_are_gone_are_left_out(archive: Archive) -> None:
    examples = Examples(archive, MeanEncoder())
    found, _ = examples.nearest(grey(99), "chest-xray")
    (archive.folder / next(record.path for record in archive.images() if record.key == found[0].key)).unlink()
    assert set(examples.images(found)) == {case.key for case in found[1:]}


def test_the_report_shows_them_without_any_model(archive: Archive, tmp_path: Path) -> None:
    result = analysed(archive, tmp_path, "chest-xray")
    assert len(result.examples) == DISPLAYED and not result.similar
    assert "examples" in result.seconds
    assert result.report is not None
    page = Page.of(result.report)
    assert "Nearest examples of chest-xray in the archive" in page.text
    assert len(page.find("ol", class_="cases")) == 1
    assert [image["alt"].startswith("Example") for image in page.find("img")] == [True] * DISPLAYED
    assert all(case.image in page.text for case in result.examples)
    kept = json.loads((tmp_path / "out" / "new.json").read_text(encoding="utf-8"))
    assert [case["key"] for case in kept["examples"]] == [case.key for case in result.examples]


def test_a_category_that_the_archive_lacks_is_a_note(archive: Archive, tmp_path: Path) -> None:
    result = analysed(archive, tmp_path, "head-ct")
    assert result.examples == ()
    assert any("no other image of the category head-ct" in note for note in result.notes)
    assert result.report is not None
    assert "Nearest examples" not in Page.of(result.report).text
