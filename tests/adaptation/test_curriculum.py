"""The orders in which cases are shown: by likeness to a first site, by uncertainty, and how training goes through them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casewise.archive import Archive
from casewise.case import Case
from casewise.errors import UsageError
from casewise.models import Model
from casewise.training.curriculum import CHOICES, ORDERS, likeness, paced, ranked, rehearsed, uncertainties
from tests.adaptation.discs import disc


def test_what_resembles_the_first_site_scores_highest() -> None:
    rng = np.random.default_rng(0)
    first = np.array([5.0, 0.0, 1.0]) + rng.normal(0, 0.1, (6, 3))
    others = np.array([[5.0, 0.1, 1.0], [0.0, 5.0, 1.0], [4.0, 2.0, 1.0]])
    scores = likeness(others, first, np.array([1.5, 1.5, 1.0]))
    assert ranked(scores, "similar") == [0, 2, 1]
    assert np.all(np.abs(scores) <= 1 + 1e-9)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=30), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_every_order_shows_each_case_once(scores: list[float], seed: int) -> None:
    for how in {*ORDERS, *CHOICES}:
        assert sorted(ranked(scores, how, seed)) == list(range(len(scores)))
    best, worst = ranked(scores, "similar"), ranked(scores, "dissimilar")
    assert scores[best[0]] == max(scores) == scores[worst[-1]]
    assert ranked(scores, "random", seed) == ranked(scores, "random", seed)


@given(count=st.integers(1, 40), steps=st.integers(1, 60), batch=st.integers(1, 8))
@settings(max_examples=40, deadline=None)
def test_a_growing_pace_begins_with_the_first_and_ends_with_all(count: int, steps: int, batch: int) -> None:
    order = list(np.random.default_rng(count).permutation(count))
    displayed = paced(order, "growing", steps, batch)
    assert len(displayed) == steps * batch
    assert set(displayed) <= set(order)
    assert set(displayed[:batch]) <= set(order[: -(-count // 3)])


def test_half_way_through_a_growing_pace_every_case_is_displayed() -> None:
    displayed = paced(range(12), "growing", 200, 8)
    assert set(displayed[800:]) == set(range(12))
    assert paced([2, 0, 1], "rounds", 200, 8) == [2, 0, 1]


def test_every_second_case_is_an_earlier_sites() -> None:
    displayed = rehearsed([0, 1, 2], new=3, known=5, places=20)
    assert displayed[::2] == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    assert all(3 <= number < 8 for number in displayed[1::2])


def test_a_model_is_unsure_of_images_unlike_those_it_learnt_from(model: Model, archive: Archive) -> None:
    known = archive.cases(site="bright")[:5]
    nothing = [Case.of(disc(300 + n, dark=False)[0].with_array(_noise(n))) for n in range(5)]
    sure, unsure = uncertainties(model, known), uncertainties(model, nothing)
    assert all(0 <= value <= 1 for value in (*sure, *unsure))
    assert np.mean(unsure) > np.mean(sure)
    assert uncertainties(model, known) == sure


@pytest.mark.parametrize("wrong", ["alphabetical", ""])
def test_an_order_that_is_none_gets_its_sentence(wrong: str) -> None:
    with pytest.raises(UsageError, match="ordered by one of similar, dissimilar, random"):
        ranked([1.0], wrong)
    with pytest.raises(UsageError, match="pace of an order"):
        paced([0], wrong or "slow", 1, 1)


def _noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.5, 0.1, (1, 32, 32)).astype(np.float32)
