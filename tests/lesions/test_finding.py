"""What of a map counts as a lesion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from casewise.errors import ModelError
from casewise.image import Image
from casewise.lesions import predict
from casewise.lesions.finding import MOST, Rule, outlined
from casewise.models import Model
from tests.lesions.conftest import LARGE, brain


def volume(chances: np.ndarray, mm: float = 2.0) -> Image:
    return Image(chances[None], np.diag([mm, mm, mm, 1.0]))


def test_small_and_hesitant_pieces_do_not_count() -> None:
    chances = np.zeros((20, 20, 20), np.float32)
    chances[1:6, 1:6, 1:6] = 0.6
    chances[3, 3, 3] = 0.95  # large and sure
    chances[10:15, 10:15, 10:15] = 0.6  # large, never sure
    chances[18, 18, 18] = 0.99  # sure, and 0.008 ml
    mask, lesions = outlined(chances, volume(chances), Rule(0.5, 0.9, 0.0, 0.02))
    assert mask.sum() == 125 and mask[3, 3, 3]
    assert [lesion.voxels for lesion in lesions] == [125]
    assert lesions[0].volume_ml == pytest.approx(1.0)
    assert lesions[0].centre_mm == pytest.approx((6.0, 6.0, 6.0))
    assert lesions[0].probability == pytest.approx((124 * 0.6 + 0.95) / 125)
    assert [lesion.voxels for lesion in outlined(chances, volume(chances), Rule(0.5, 0.5, 0.0, 0.0))[1]] == [125, 125, 1]
    assert not outlined(chances, volume(chances), Rule(0.5, 0.9, 0.7, 0.02))[0].any()
    assert outlined(chances, volume(chances), Rule(0.5, 0.5, 0.7, 0.0), np.where(chances == 0.6, 0.8, 0))[0].sum() == 250


@settings(max_examples=40, deadline=None)
@given(
    arrays.arrays(np.float32, (6, 7, 5), elements=st.sampled_from([0.0, 0.3, 0.55, 0.75, 0.95])),
    st.sampled_from([Rule(0.5, 0.5, 0.0, 0.0), Rule(0.5, 0.9, 0.0, 0.0), Rule(0.25, 0.7, 0.42, 0.03), Rule(0.7, 0.7, 0.0, 0.02)]),
)
def test_every_piece_kept_keeps_the_rule_and_no_other_is_left_out(chances: np.ndarray, rule: Rule) -> None:
    mask, lesions = outlined(chances, volume(chances), rule)
    assert not (mask & (chances < rule.threshold)).any()
    numbered, count = ndimage.label(chances >= rule.threshold, np.ones((3, 3, 3)))
    for number in range(1, count + 1):
        own = numbered == number
        wanted = chances[own].max() >= rule.peak and chances[own].mean() >= rule.mean and own.sum() * 0.008 >= rule.least_ml
        assert bool(mask[own].all()) == bool(mask[own].any()) == wanted
    sizes = [lesion.voxels for lesion in lesions]
    assert sizes == sorted(sizes, reverse=True)
    assert sum(sizes) == mask.sum() or len(sizes) == MOST


@pytest.mark.parametrize(
    "given_rule", [{"threshold": 0.0}, {"peak": 0.2}, {"least_ml": -1}, {"cut": 0.5}, {"peak": "high"}, [0.5, 0.5, 0.02]]
)
def test_a_rule_that_is_none_is_refused(given_rule: object) -> None:
    with pytest.raises(ModelError, match="rule"):
        Rule.of({"rule": given_rule})


def test_a_model_brings_its_rule_along(model: Model) -> None:
    image, _ = brain(11, LARGE)
    usual = predict(model, image, each=False)
    strict = replace(model, spec=replace(model.spec, network={**model.spec.network, "rule": {"least_ml": 1e6}}))
    found = predict(strict, image, each=False)
    assert usual.lesions and usual.mask.any()
    assert not found.lesions and not found.mask.any()
    assert np.array_equal(found.map, usual.map)
