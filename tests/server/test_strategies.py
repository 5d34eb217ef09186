"""Which image comes next, of vectors and states that are given."""

from __future__ import annotations

import numpy as np
import pytest

from casewise.server import strategies
from casewise.server.strategies import Waiting, choose


class Given:
    """Vectors by key."""

    def __init__(self, **rows):
        self.rows = {key: np.asarray(row, np.float32) for key, row in rows.items()}

    def missing(self, keys):
        return sum(key not in self.rows for key in keys)

    def of(self, keys):
        found = [key for key in keys if key in self.rows]
        return found, np.stack([self.rows[key] for key in found]) if found else np.zeros((0, 2), np.float32)


COMPASS = Given(east=(1, 0), nearly_east=(1, 0.1), north=(0, 1), west=(-1, 0), far_west=(-5, 0.1))


def _waiting(*keys, labelled=(), uncertainty=None):
    return Waiting(7, list(keys), list(labelled), uncertainty or {})


def test_unlike_takes_the_one_whose_nearest_label_is_farthest():
    assert choose("unlike", _waiting("nearly_east", "north", "west", labelled=["east"]), COMPASS).key == "west"
    assert choose("unlike", _waiting("nearly_east", "north", "far_west", labelled=["east", "west"]), COMPASS).key == "north"


def test_unlike_begins_with_the_most_typical():
    found = choose("unlike", _waiting("west", "nearly_east", "east"), COMPASS)
    assert found.key == "nearly_east" and "most typical" in found.reason


def test_unlike_compares_what_has_a_vector_and_says_so():
    found = choose("unlike", _waiting("unseen", "north", "nearly_east", labelled=["east"]), COMPASS)
    assert (found.key, found.without) == ("north", "vectors") and "1 image has no vector" in found.reason
    assert choose("unlike", _waiting("unseen", "north", labelled=["unseen too"]), COMPASS).without == "vectors"


def test_unlike_compares_some_of_very_many(monkeypatch):
    monkeypatch.setattr(strategies, "COMPARED", 3)
    many = Given(label=(1, 0), **{f"image{n}": (np.cos(n), np.sin(n)) for n in range(40)})
    keys = list(many.rows)[1:]
    seen = {choose("unlike", _waiting(*keys[: 40 - done], labelled=["label"] * (1 + done)), many).key for done in range(8)}
    assert len(seen) > 3 and choose("unlike", _waiting(*keys, labelled=["label"]), many).key in keys


@pytest.mark.parametrize("strategy", strategies.NAMES)
def test_the_same_state_gives_the_same_image_and_none_gives_none(strategy):
    state = _waiting("east", "north", "west", labelled=["far_west"], uncertainty={"north": 0.4, "east": 0.2})
    assert choose(strategy, state, COMPASS) == choose(strategy, state, COMPASS)
    assert choose(strategy, _waiting(), COMPASS) is None


def test_uncertainty_and_first():
    state = _waiting("east", "north", "west", uncertainty={"north": 0.4, "west": 0.41})
    assert choose("uncertainty", state, COMPASS).key == "west"
    assert choose("uncertainty", _waiting("east"), COMPASS).without == "uncertainty"
    assert choose("first", state, COMPASS).key == "east"
