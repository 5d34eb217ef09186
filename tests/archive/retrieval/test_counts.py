"""A search makes cases of what it found: of all others it reads columns and vectors alone."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from casewise.archive import Archive, Selection
from casewise.case import Structure
from casewise.image import Image
from casewise.pipeline.search import find_similar, write_sheet
from casewise.routing.examples import Examples
from tests.catalogue_counts import counted
from tests.image_trees import MeanEncoder, mask, picture

_IMAGES, _K = 240, 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of films of two sites and three categories; every fourth has a mask."""
    data = tmp_path_factory.mktemp("films")
    rows = [("image", "mask:lung", "site", "category", "age", "sex", "manufacturer")]
    for number in range(_IMAGES):
        picture(data / f"{number}.png", number)
        lung = mask(data / f"{number}_lung.png", (255,), (16, 16)).name if number % 4 == 0 else ""
        rows.append((f"{number}.png", lung, "AB"[number % 2], "xyz"[number % 3], str(20 + number % 60), "FM"[number % 2], "ACME"))
    with (data / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    place = tmp_path_factory.mktemp("archive") / "films"
    with Archive.open(place, create=True) as archive:
        report = archive.import_paths([data], manifest=data / "manifest.csv", encoder=MeanEncoder())
        assert (report.added, report.labels, report.vectors) == (_IMAGES, _IMAGES // 4, _IMAGES)
    return place


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    return counted(monkeypatch)


@pytest.fixture
def archive(folder: Path, counts: Counter[str]) -> Iterator[Archive]:
    with Archive.open(folder) as opened:
        counts.clear()
        yield opened


def _query() -> Image:
    pixels = np.random.default_rng(7_000).integers(0, 255, (1, 16, 16)).astype(np.uint8)
    return Image(pixels, header={"spacing_known": False, "age": 33.0, "sex": "F", "manufacturer": "ACME"})


@pytest.mark.parametrize("by", [("latent", "content"), ("latent",), ("content",)], ids=["both", "latent", "content"])
@pytest.mark.parametrize(
    "where",
    [
        Selection(),
        Selection(structures=(Structure.parse("lung"),)),
        Selection(any_structure=(Structure.parse("lungs=Lung+heart"),), categories=frozenset("xy"), site="A", axes=2),
    ],
    ids=["all", "masked", "several"],
)
def test_of_no_image_more_than_a_line_is_read(
    archive: Archive, counts: Counter[str], by: tuple[str, ...], where: Selection
) -> None:
    found = archive.similar(_query(), k=_K, by=by, encoder=MeanEncoder(), where=where)
    assert len(found) == _K
    assert counts["cases"] == counts["json"] == 0
    archive.cases(keys=[case.key for case in found])
    assert counts["cases"] == _K


def test_an_image_that_cannot_be_read_is_tried_by_one_query_alone(tmp_path: Path, counts: Counter[str]) -> None:
    """A query makes no case but of what it embeds; an import, which may have mended the file, tries it again."""
    for number in range(12):
        picture(tmp_path / "films" / f"{number}.png", number)
    with Archive.open(tmp_path / "archive", create=True) as archive:
        archive.import_paths([tmp_path / "films"])
        content = (tmp_path / "films" / "3.png").read_bytes()
        (tmp_path / "films" / "3.png").unlink()
        counts.clear()
        assert len(archive.similar(_query(), k=20, by=("latent",), encoder=MeanEncoder())) == 12
        assert counts["cases"] == 12
        counts.clear()
        for _ in range(3):
            archive.similar(_query(), k=_K, by=("latent",), encoder=MeanEncoder())
        assert counts["cases"] == 0
        (tmp_path / "films" / "3.png").write_bytes(content)
        assert archive.embed(MeanEncoder()) == 1
        assert archive.ids_without_vector(MeanEncoder()) == []


def test_a_second_query_reads_no_column_again(archive: Archive, counts: Counter[str]) -> None:
    archive.similar(_query(), k=_K, encoder=MeanEncoder())
    counts.clear()
    archive.similar(_query(), k=_K, encoder=MeanEncoder())
    assert counts["text"] < 10 * _K


def test_within_a_region_some_are_read(archive: Archive, counts: Counter[str]) -> None:
    region = np.zeros((16, 16), bool)
    region[4:9, 2:7] = True
    assert len(archive.similar(_query(), k=_K, encoder=MeanEncoder(), region=region)) == _K
    assert counts["cases"] == 64


def test_a_contact_sheet_and_examples_read_what_they_show(archive: Archive, counts: Counter[str], tmp_path: Path) -> None:
    search = find_similar(archive, _query(), k=_K, by=("content",))
    write_sheet(tmp_path / "sheet.png", archive, _query(), search)
    assert counts["cases"] == _K
    counts.clear()
    examples = Examples(archive, MeanEncoder())
    found, _ = examples.nearest(_query(), "x", _K)
    assert len(examples.images(found)) == counts["cases"] == _K and counts["json"] < 20 * _K


def test_the_order_is_that_of_all_cases_compared_one_by_one(archive: Archive) -> None:
    """With the cosines and likenesses as they are defined."""
    query, encoder = _query(), MeanEncoder()
    every = archive.cases()
    vectors = encoder.encode([case.image for case in every]).astype(np.float64)
    mean = vectors.mean(axis=0)
    centred, own = vectors - mean, encoder.encode([query])[0] - mean
    latent = centred @ own / (np.linalg.norm(centred, axis=1) * np.linalg.norm(own))
    ages = np.array([float(str(case.content["age"])) for case in every])
    span = max(ages.max(), 33) - min(ages.min(), 33)
    content = (1 - abs(ages - 33) / span + np.array([case.content["sex"] == "F" for case in every]) + 1) / 3
    scores = 0.7 * latent + 0.3 * content
    found = archive.similar(query, k=40, encoder=encoder)
    order = np.argsort(-scores, kind="stable")[:40]
    assert [case.key for case in found] == [every[place].key for place in order]
    np.testing.assert_allclose([case.score for case in found], scores[order], atol=1e-6)
    some = np.flatnonzero([case.site == "B" and "lung" in case.load_masks for case in every])
    none = archive.similar(query, k=40, encoder=encoder, structures=["lung"], where=Selection(site="B"))
    assert len(none) == len(some) == 0  # every fourth is of the site A
    masked = np.flatnonzero(["lung" in case.load_masks for case in every])
    found = archive.similar(query, k=9, by=("latent",), encoder=encoder, structures=["lung"])
    assert [case.key for case in found] == [every[place].key for place in masked[np.argsort(-latent[masked], kind="stable")[:9]]]
