"""The application ``tuberculosis``: what it says of a film, where it sees it, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from casewise import formats
from casewise.applications import Application
from casewise.applications.intended import Intended
from casewise.applications.irregularities import Irregularities
from casewise.applications.isolated.python import started
from casewise.applications.tuberculosis import NAME, Tuberculosis
from casewise.chest import regions
from casewise.errors import CasewiseError, ModelError
from casewise.finding import ABSENT, FINDING, Finding
from casewise.image import Image
from casewise.models.shipped import FOLDER, load
from tests.applications.test_intended import ELSEWHERE, image_of, nothing


@pytest.fixture(scope="module")
def film(shared_data: Path) -> Image:
    return formats.read(sorted((shared_data / "montgomery" / "images").glob("*_1.png"))[3])


def analyzed(image: Image, **more: str | Path) -> Finding:
    (finding,) = Tuberculosis(device="cpu", **more).analyze(image)  # type: ignore[arg-type]
    return finding


def test_it_says_one_thing_of_a_film_and_draws_where_from(film: Image, tmp_path: Path) -> None:
    assert isinstance(Tuberculosis(), Application)
    finding = analyzed(film, maps=tmp_path)
    assert (finding.application, finding.label, finding.region) == (NAME, NAME, "lungs")
    assert finding.probability is not None and 0 < finding.probability < 1
    assert finding.kind == (FINDING if finding.probability >= 0.5 else ABSENT)
    heat = formats.read(str(finding.map)).array[0]
    assert heat.shape == film.spatial_shape
    found = regions(film, "cpu").by_place
    lungs = found["left_lung"] | found["right_lung"]
    assert (heat[lungs] > 0).mean() > 0.97 and (heat[~lungs] > 0).mean() < 0.2


@pytest.mark.parametrize("turns", [1, 2])
def test_a_film_that_lies_otherwise_is_judged_alike(film: Image, turns: int, tmp_path: Path) -> None:
    upright, turned = (
        analyzed(film, maps=tmp_path / "a"),
        analyzed(Image(np.rot90(film.array, turns, (1, 2)).copy()), maps=tmp_path / "b"),
    )
    assert turned.probability == pytest.approx(upright.probability, abs=0.05)
    one, other = (formats.read(str(finding.map)).array[0].astype(float) for finding in (upright, turned))
    assert np.abs(np.rot90(one, turns) - other).mean() < 4


def test_dark_bones_change_nothing(film: Image) -> None:
    inverted = Image(film.array.max() - film.array)
    assert analyzed(inverted).probability == pytest.approx(analyzed(film).probability, abs=0.05)


def test_irregularities_says_the_same(film: Image) -> None:
    said = [finding for finding in Irregularities(device="cpu").analyze(film) if finding.label == NAME]
    assert [finding.probability for finding in said] == [analyzed(film).probability]


@pytest.mark.parametrize("application", [Tuberculosis, Irregularities])
def test_a_film_too_coarse_for_fine_signs_comes_with_a_remark(
    film: Image, application: type[Tuberculosis | Irregularities]
) -> None:
    """Lungs of about 400, 200 and 130 rows."""
    for times, coarse in ((1, False), (2, False), (3, True)):
        rows, columns = (n // times for n in film.spatial_shape)
        parts = film.array[0, : rows * times, : columns * times].reshape(rows, times, columns, times)
        one = application(device="cpu")
        assert NAME in [finding.label for finding in one.analyze(Image(parts.mean(axis=(1, 3)).astype(np.uint8)[None]))]
        assert ["tuberculosis reliably" in note for note in one.notes if "pixels high" in note] == [True] * coarse


def test_it_knows_most_of_what_it_was_trained_on(shared_data: Path) -> None:
    """Far from a measure of how good it is (the card has that): weights and preparation fit together."""
    right = [
        (analyzed(formats.read(path)).kind == FINDING) == bool(ill)
        for ill in (0, 1)
        for path in sorted((shared_data / "shenzhen" / "images").glob(f"*_{ill}.png"))[::6]
    ]
    assert len(right) >= 12 and np.mean(right) > 0.7


def test_other_pictures_are_refused() -> None:
    for image in nothing(2):
        with pytest.raises(CasewiseError):
            analyzed(image)
    with pytest.raises(CasewiseError):
        analyzed(nothing(3)[0])


def test_films_of_another_hospital_are_taken_and_other_anatomy_is_not(shared_data: Path) -> None:
    check = Intended.load(FOLDER / NAME)
    assert check is not None
    own = [check.distance(image_of(path)) for path in sorted((shared_data / "jsrt" / "images").glob("*.png"))[::6][:8]]
    assert own and max(own) <= check.threshold
    elsewhere = [path for pattern in ELSEWHERE for path in sorted(shared_data.glob(pattern))[::9][:4]]
    taken = [path.name for path in elsewhere if check.distance(image_of(path)) <= check.threshold]
    assert len(elsewhere) >= 25 and len(taken) <= 1, taken


def test_a_runner_starts_it_from_its_declaration() -> None:
    assert callable(started("casewise.applications.tuberculosis:Tuberculosis", {"device": "cpu"}))


def test_its_model_is_small_its_card_complete_and_alone_it_answers_nothing() -> None:
    model = load(NAME)
    card = (FOLDER / NAME / "card.md").read_text(encoding="utf-8")
    assert sum(path.stat().st_size for path in (FOLDER / NAME).iterdir()) < 8 << 20
    assert "`python -m recipes.tuberculosis`" in card and "95 % interval" in card and "Not a medical device" in card
    assert model.trained_on and all(0 < value <= 1 for value in model.lineage.measures.values())
    with pytest.raises(ModelError, match="application"):
        model.predict(nothing(2)[0], "cpu")
