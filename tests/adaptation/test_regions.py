"""The region model refined on films like the one at hand, and what the applications that start from regions are given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from casewise import chest, formats
from casewise.adaptation import AcceptanceRule, Plan
from casewise.adaptation.regions import RegionAdapter
from casewise.archive import Archive
from casewise.errors import CasewiseError
from casewise.header import Header
from casewise.image import Image
from casewise.models import Model
from casewise.models.shipped import load
from casewise.training import Settings
from tests.cli.conftest import Call, call

__all__ = ["call"]  # a fixture
NAMES = ("right_lung", "left_lung", "heart")
STEP = 8
QUICK = Settings(steps=3, batch=2, rate=5e-4, augmentation="none", device="cpu")
ALWAYS = AcceptanceRule(gain=-1.0)


def film(folder: Path, number: int) -> tuple[Image, dict[str, np.ndarray]]:
    """A film at a resolution and with a contrast by which it is new to the shipped model."""
    path = sorted((folder / "jsrt" / "images").glob("*.png"))[number]
    image = formats.read(path)
    masks = {name: formats.read_mask(folder / "jsrt" / "masks" / name / path.name, image)[::STEP, ::STEP] for name in NAMES}
    dim = (image.array[:, ::STEP, ::STEP].astype(np.float32) * 0.8 + 10).astype(np.uint8)
    return Image(dim, header=Header(spacing_known=False, format="PNG")), masks


@pytest.fixture(scope="module")
def archive(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    with Archive.open(tmp_path_factory.mktemp("films") / "archive", create=True) as made:
        for number in range(7):
            image, masks = film(shared_data, number)
            kept = masks if number % 2 else {name: masks[name] for name in NAMES[:2]}  # of half of them the heart is not outlined
            made.add(image, kept, site="dim", subject=str(number), category="chest-xray")
        yield made


@pytest.fixture(scope="module")
def model() -> Model:
    return load("chest_regions")


def adapter(model: Model, archive: Archive, **changed: object) -> RegionAdapter:
    plan = replace(Plan(k=4, held_out=2, settings=QUICK, acceptance=ALWAYS), **changed)  # type: ignore[arg-type]
    return RegionAdapter(model, archive, plan, "cpu")


def test_the_refined_model_outlines_the_film(shared_data: Path, archive: Archive, model: Model) -> None:
    image, masks = film(shared_data, 20)
    found = adapter(model, archive).outlined(image)
    assert found.refinement is not None and found.refinement.used and "refined" in found.reason
    assert found.refinement.model.lineage.parent == model.key
    assert {case.site for case in found.refinement.trained_on} == {"dim"}
    for name in NAMES:
        overlap = 2 * (found.regions.masks[name] & masks[name]).sum() / (found.regions.masks[name].sum() + masks[name].sum())
        assert overlap > 0.8


def test_a_model_that_was_not_bettered_answers_as_it_is(shared_data: Path, archive: Archive, model: Model) -> None:
    image, _ = film(shared_data, 20)
    found, plain = adapter(model, archive, acceptance=AcceptanceRule(gain=1.0)).outlined(image), chest.regions(image)
    assert found.refinement is not None and not found.refinement.used and "its parent was used" in found.reason
    assert list(found.regions.found) == list(plain.found)
    assert all(np.array_equal(found.regions.masks[name], plain.masks[name]) for name in plain.found)


def test_films_that_the_model_knows_are_not_trained_on(archive: Archive, shared_data: Path, model: Model) -> None:
    known = replace(model, lineage=replace(model.lineage, trained_on=frozenset(case.key for case in archive.cases())))
    found = adapter(known, archive).outlined(film(shared_data, 20)[0])
    assert found.refinement is not None and not found.refinement.trained_on
    assert "0 similar cases that the model was not trained on" in found.reason


def test_what_is_no_chest_is_refused(archive: Archive, model: Model) -> None:
    with pytest.raises(CasewiseError, match="one value"):
        adapter(model, archive).outlined(Image(np.zeros((1, 64, 64), np.uint8)))


def test_an_analysis_gives_them_to_its_applications(call: Call, archive: Archive, shared_data: Path, tmp_path: Path) -> None:
    path = formats.write(tmp_path / "film.png", film(shared_data, 20)[0])
    words = ["analyze", path, "--application", "cardiothoracic-ratio", "--archive", archive.folder, "--adapt", "similar"]
    done = call(*words, "--output", tmp_path / "out", "--json")
    assert done.code == 0, done.err
    (result,) = done.document
    assert any(note.startswith("Regions: ") and "similar cases" in note for note in result["notes"])
    assert result["seconds"]["refine_regions"] > 0
    (finding,) = result["findings"]
    assert 0.3 < finding["measures"]["cardiothoracic_ratio"] < 0.65


def test_an_archive_without_labelled_lungs_needs_a_model(call: Call, shared_data: Path, tmp_path: Path) -> None:
    with Archive.open(tmp_path / "archive", create=True) as made:
        made.add(film(shared_data, 0)[0], {}, site="x", subject="1")
    path = formats.write(tmp_path / "film.png", film(shared_data, 20)[0])
    done = call("analyze", path, "--archive", tmp_path / "archive", "--adapt", "similar", "--output", tmp_path / "out")
    assert done.code == 2 and "--model" in done.err
