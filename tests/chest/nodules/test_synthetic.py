"""Synthetic nodules: where they lie, how large and how strong they are, and that they are labelled where they were drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casewise.chest.nodules.synthetic import insert, with_nodules
from casewise.image import Box
from casewise.irregularities.examples import Example
from casewise.irregularities.training import Irregularity


@given(st.integers(0, 2**31), st.sampled_from([0.7, 0.35]))
@settings(deadline=None, max_examples=20)
def test_synthetic_nodules_lie_where_they_may_do_not_touch_and_leave_the_rest_as_it_was(seed: int, millimetres: float) -> None:
    rng = np.random.default_rng(seed)
    before = rng.normal(100, 10, (300, 280)).astype(np.float32)
    places = np.zeros((300, 280), bool)
    places[60:240, 80:180] = True
    after, marked, nodules = insert(before, places, 4, rng, millimetres)
    assert after.shape == before.shape
    assert marked.any() == bool(nodules)
    away = np.ones(places.shape, bool)
    for number, one in enumerate(nodules):
        assert places[int(one.row), int(one.column)] and marked[int(one.row), int(one.column)]
        assert 4.99 <= one.diameter * millimetres <= 40.01
        for other in nodules[:number]:
            assert np.hypot(one.row - other.row, one.column - other.column) > (one.diameter + other.diameter) / 2
        distance = np.hypot(*np.subtract(np.indices(places.shape).T, (one.row, one.column)).T)
        assert 1 < (after - before)[distance < one.diameter / 5].mean() < 40
        away &= distance > one.diameter + 10 / millimetres
    assert np.array_equal(after[away], before[away])


def test_a_nodule_is_as_strong_as_the_film_around_it_is_uneven() -> None:
    film = np.random.default_rng(0).normal(0, 1, (200, 200))
    places = np.zeros(film.shape, bool)
    places[100, 100] = True
    added = {}
    for strength in (5, 50):
        changed, _, nodules = insert(film * strength, places, 1, np.random.default_rng(5))
        added[strength] = (changed - film * strength).max()
        assert len(nodules) == 1
    assert added[50] == pytest.approx(10 * added[5], rel=0.01)


@given(st.integers(0, 2**31))
@settings(deadline=None, max_examples=15)
def test_a_drawn_nodule_is_labelled_where_it_was_drawn_and_never_on_a_real_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    plane = rng.normal(100, 10, (400, 360)).astype(np.float32)
    lung = np.zeros(plane.shape, bool)
    lung[40:360, 40:320] = True
    real = Irregularity(Box((180, 160), (200, 180)), 1.5)
    made = with_nodules(Example(plane, {"right_lung": lung}, (real,)), 0.7, rng, 0.7)
    assert made.irregularities[0] is real and np.array_equal(made.plane[170:210, 150:190], plane[170:210, 150:190])
    for one in made.irregularities[1:]:
        middle = tuple((a + b) // 2 for a, b in zip(one.box.lower, one.box.upper, strict=True))
        assert one.weight == 0.7 and made.plane[middle] > plane[middle]
