"""The benchmark of reported nodules: nobody on two sides, its page made of its rows, and the same figures wherever they stand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import nodules
from casewise.chest.nodules.false_positive_reduction import FalsePositiveReducer
from casewise.image import Box
from casewise.irregularities.box_fusion import Detection
from casewise.irregularities.detector import ready
from casewise.models import shipped
from experiments.nodules import measured
from experiments.nodules.films import Film
from experiments.nodules.measured import clean, false_marks, reported
from experiments.nodules.radiographs import Truth
from experiments.nodules.second_look import CLEAN, FALSE, FOLDS, Found, Row, chosen, crossed, folds, rest, row, said_of

ROOT = Path(nodules.__file__).resolve().parents[1]
LUNGS = {"right_lung": Box((100, 100), (1800, 900)), "left_lung": Box((100, 1100), (1800, 1900))}


def film(number: int, folder: str = "jsrt", nodule: bool = False) -> Film:
    truth = (Truth(500.0, 500.0, 20.0, 1 + number % 5),) if nodule else ()
    return Film(folder, Path(f"{number}.png"), truth)


def found(number: int, hit: float | None) -> Found:
    rng = np.random.default_rng(number)
    others = [
        Detection(row, column, 80, p, "left_lung", 0) for row, column, p in rng.uniform((900, 1100, 0), (1700, 1800, 0.3), (12, 3))
    ]
    marks = [*others, Detection(505, 495, 80, hit, "right_lung", 0)] if hit is not None else others
    return Found(sorted(marks, key=lambda one: -one.probability), LUNGS, 0.175)


@pytest.fixture(scope="module")
def drawn() -> tuple[list[Film], dict[str, Found]]:
    """60 films, 30 with a nodule that is mostly marked more strongly than anything else; 20 more without of another site."""
    films = [film(n, nodule=n % 2 == 0) for n in range(60)] + [film(n, "nih") for n in range(100, 120)]
    founds = {one.name: found(n, 0.2 + (n % 7) / 10 if one.nodules else None) for n, one in enumerate(films)}
    return films, founds


def test_nobody_is_on_two_sides_and_every_kind_in_every_fold(drawn: tuple[list[Film], dict[str, Found]]) -> None:
    films, _ = drawn
    parts = folds(films)
    assert sorted(one.name for part in parts for one in part) == sorted(one.name for one in films)
    for number, part in enumerate(parts):
        names = {one.name for one in part}
        assert not names & {one.name for one in rest(parts, number)} and len(names) == len(part)
        assert sum(bool(one.nodules) for one in part) == 30 // FOLDS
        assert sum(one.site == "NIH" for one in part) == 20 // FOLDS


def test_thresholds_leave_films_clean_and_false_marks_few(drawn: tuple[list[Film], dict[str, Found]]) -> None:
    films, founds = drawn
    judge = chosen(films, founds)
    said = {one.name: said_of(one, founds, judge) for one in films}
    for site in ("JSRT", "NIH"):
        without = [one for one in films if one.site == site and not one.nodules]
        assert np.mean([not said[one.name].reported for one in without]) >= CLEAN - 0.2
    false = [one for here in said.values() for one in here.reported if np.hypot(one.row - 500, one.column - 500) > 60]
    assert len(false) <= (FALSE + 0.1) * len(films)
    hit = [here for here in said.values() if any(np.hypot(one.row - 500, one.column - 500) <= 60 for one in here.reported)]
    assert len(hit) >= 18
    with_one, without_one = ([said[one.name].film for one in films if bool(one.nodules) is held] for held in (True, False))
    assert np.mean(with_one) > 0.5 > np.mean(without_one)  # a probability, whatever share of the films has one


def test_a_film_is_scored_by_what_was_chosen_without_it(drawn: tuple[list[Film], dict[str, Found]]) -> None:
    films, founds = drawn
    one = films[0]
    others = [other for other in films if other is not one]
    changed = {**founds, one.name: found(999, 0.99)}
    judge, again = chosen(others, founds), chosen(others, changed)
    assert judge == again != chosen(films, founds)
    found_again = row(replace(one, path=one.path), changed, judge)
    assert found_again.hit is not None and found_again.marks and found_again.marks[0][3] and not found_again.refused
    gone = row(one, {}, judge)
    assert gone.refused and gone.hit == -1 and clean([gone]) == 0 and reported([gone]) == 0


def test_what_is_said_of_a_film_does_not_depend_on_its_own_truth(drawn: tuple[list[Film], dict[str, Found]]) -> None:
    films, founds = drawn
    one = next(film for film in films if film.nodules)
    elsewhere = replace(one, nodules=(replace(one.nodules[0], row=1400.0, column=1500.0),))
    said, again = (crossed([first, *(film for film in films if film is not one)], founds) for first in (one, elsewhere))
    assert said[one.name].candidates == again[one.name].candidates
    assert any(said[film.name].candidates != again[film.name].candidates for film in films)


def test_an_enlarged_films_candidates_are_counted_in_the_images_pixels(drawn: tuple[list[Film], dict[str, Found]]) -> None:
    films, founds = drawn
    one = next(film for film in films if film.nodules)
    here = founds[one.name]
    lungs = {name: Box(tuple(2 * n for n in box.lower), tuple(2 * n for n in box.upper)) for name, box in here.lungs.items()}
    larger = Found([mark.scaled(2) for mark in here.found], lungs, here.millimetres / 2, 2.0)
    judge = chosen(films, founds)
    plain, again = (row(one, {one.name: kept}, judge) for kept in (here, larger))
    assert again.hit == pytest.approx(plain.hit) and [mark[3] for mark in again.marks] == [mark[3] for mark in plain.marks]


@pytest.fixture(scope="module")
def kept() -> list[Row]:
    return nodules.kept()[0]


def test_there_are_at_most_two_false_marks_a_film_in_every_set(kept: list[Row]) -> None:
    for _, here in measured.groups(kept):
        assert not here or false_marks(here) <= 2


def test_the_model_reports_from_the_thresholds_of_the_page() -> None:
    _, found_again = nodules.kept()
    judge = FalsePositiveReducer.of(ready(shipped.load("irregularities")))
    assert judge.film_from == found_again["film_from"] and judge.mark_from == found_again["mark_from"]
    assert np.allclose(judge.weights, found_again["weights"], atol=1e-5) and judge.shift == pytest.approx(
        found_again["shift"], abs=1e-5
    )


@pytest.mark.parametrize("place", ["README.md", "docs/how-to/segments.md"])
def test_the_figures_are_the_same_wherever_they_stand(place: str, kept: list[Row]) -> None:
    text = " ".join((ROOT / place).read_text(encoding="utf-8").split())
    assert nodules.sentence(kept) in text
