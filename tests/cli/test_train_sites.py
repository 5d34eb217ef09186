"""``casewise train sites``: from the first site to the deployment site, with a page on every site before and after."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from casewise.archive import Archive
from casewise.case import Case
from casewise.image import Image
from casewise.pipeline.sites import first_site
from tests.cli.conftest import Call, disc
from tests.made_alike import made_alike


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of three sites with six pictures each; two of South's have no mask."""
    folder = tmp_path_factory.mktemp("three") / "archive"
    with Archive.open(folder, create=True) as archive:
        for number in range(18):
            site, (picture, mask) = ("North", "East", "South")[number // 6], disc(number, 32)
            array = 255 - picture if site == "South" else picture
            masks = {} if number >= 16 else {"disc": mask > 0}
            archive.add(Image(np.asarray(array)[None]), masks, site=site, subject=str(number), name=f"{site}-{number}.png")
    return folder


def test_a_model_is_taken_from_site_to_site(call: Call, three: Path, tmp_path: Path) -> None:
    first = tmp_path / "first"
    words = ("train", "sites", three, "--structure", "disc", "--first", "North", "--size", 32, "--steps", 3, "--json")
    made = call(*words, "--deployment", "South", "--annotated", 2, "--output", first)
    assert made.code == 0, made.err
    document = cast("dict[str, Any]", made.document)
    assert [stage["site"] for stage in document["stages"]] == ["East", "South"]
    assert len(document["stages"][1]["order"]) == 2
    assert {entry["image"] for entry in document["annotate"]} == {"South-16.png", "South-17.png"}
    assert {site["name"] for site in document["sites"]} == {"North", "East", "South"}
    page = Path(document["report"]).read_text(encoding="utf-8")
    assert "<svg" in page and "South" in page and not re.search(r'(src|href)="http', page)
    assert not list(tmp_path.glob(".*sites*"))
    onward = call("train", "sites", three, "--from", first, "--deployment", "South", "--steps", 2, "--output", tmp_path / "second")
    assert onward.code == 0, onward.err
    assert "Annotate next" in onward.out
    with Archive.open(three) as archive:
        assert {str(entry["name"]) for entry in archive.models()} >= {"first", "second"}


def test_workers_measure_what_one_process_does(call: Call, three: Path, tmp_path: Path) -> None:
    words = ("train", "sites", three, "--structure", "disc", "--first", "North", "--size", 32, "--steps", 3, "--json")
    words = (*words, "--device", "cpu")
    here, there = made_alike(call, words, tmp_path)
    assert here.code == there.code == 0, there.err
    assert not list((tmp_path / "there").glob(".*sites*"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "Name what is to be outlined with --structure"),
        (("--structure", "liver"), "says which site it is from"),
        (("--structure", "disc", "--first", "West"), "no labelled cases of site 'West'"),
        (("--structure", "disc", "--deployment", "West"), "no labelled cases of site 'West'"),
        (("--structure", "disc", "--first", "North", "--deployment", "North"), "both the first and the deployment site"),
    ],
)
def test_what_cannot_be_is_said_before_any_training(
    call: Call, three: Path, tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    done = call("train", "sites", three, *words, "--size", 32, "--steps", 2, "--output", tmp_path / "m")
    assert done.code == 2
    assert sentence in done.sentence
    assert not (tmp_path / "m").exists()


def test_where_a_model_is_deployed_is_never_where_it_comes_from_by_itself() -> None:
    def load() -> Image:
        return Image(np.zeros((1, 4, 4), np.uint8))

    cases = [Case(f"{site}{n}", load, site=site) for site, count in (("Large", 9), ("Small", 4)) for n in range(count)]
    assert first_site(None, None, cases) == "Large"
    assert first_site("Large", None, cases) == "Small"
    assert first_site("Only", None, [Case("k", load, site="Only")]) == "Only"


def test_a_model_keeps_what_it_finds(call: Call, three: Path, model: Path, tmp_path: Path) -> None:
    done = call("train", "sites", three, "--from", model, "--structure", "disc", "--output", tmp_path / "m")
    assert done.code == 2
    assert "leave --structure out" in done.sentence
