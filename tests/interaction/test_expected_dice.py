"""The mask that an unsure answer stands for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casewise.interaction.expected_dice import at_best_threshold, expected_dice


def _logit(chance: float) -> float:
    return float(np.log(chance / (1 - chance)))


def test_a_sure_answer_stays_as_it_is():
    logits = np.full((20, 20), -9.0, np.float32)
    logits[5:15, 5:15] = 9.0
    np.testing.assert_array_equal(at_best_threshold(logits, np.ones((20, 20), bool)) > 0, logits > 0)


def test_where_nothing_is_more_likely_than_not_the_likeliest_is_taken():
    logits = np.full((20, 20), _logit(0.02), np.float32)
    logits[5:15, 5:15] = _logit(0.4)
    found = at_best_threshold(logits, np.ones((20, 20), bool)) > 0
    assert found[5:15, 5:15].all() and found.sum() == 100


def test_what_lies_outside_the_box_has_no_say():
    logits, box = np.full((20, 20), _logit(0.4), np.float32), np.zeros((20, 20), bool)
    box[:10] = True
    changed = logits.copy()
    changed[10:] = 9.0
    np.testing.assert_array_equal(at_best_threshold(logits, box)[:10], at_best_threshold(changed, box)[:10])
    np.testing.assert_array_equal(at_best_threshold(logits, np.zeros_like(box)), logits)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_no_other_threshold_has_a_greater_dice_on_average(seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(rng.uniform(-4, 1), rng.uniform(0.5, 3), (12, 12)).astype(np.float32)
    chances = 1 / (1 + np.exp(-logits.astype(np.float64)))

    def expected(mask: np.ndarray) -> float:
        return float(2 * chances[mask].sum() / (mask.sum() + chances.sum()))

    found = at_best_threshold(logits, np.ones((12, 12), bool)) > 0
    best = max(expected(chances >= chance) for chance in chances.ravel())
    assert expected(found) >= best - 0.01 or chances.max() < 0.1
    assert found[logits > 0].all()


def test_the_expected_dice_is_that_of_what_is_more_likely_than_not():
    logits = np.full((4, 4), _logit(0.25), np.float32)
    logits[:2] = _logit(0.75)
    assert expected_dice(logits, np.ones((4, 4), bool)) == pytest.approx(2 * 6 / (8 + 8))
    assert expected_dice(logits, np.arange(16).reshape(4, 4) < 8) == pytest.approx(2 * 6 / (8 + 6))
    assert expected_dice(np.full((4, 4), -1.0, np.float32), np.ones((4, 4), bool)) == 0
