"""What of a map counts as a lesion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from casewise.errors import CasewiseError, ModelError
from casewise.image import Image
from casewise.lesions import predict
from casewise.lesions.calibration import Candidate, calibrated
from casewise.lesions.postprocessing import MOST, outlined
from casewise.models import Model
from casewise.models.documents import read
from casewise.models.tasks.lesions import Calibration, LesionSettings, Rule
from tests.lesions.conftest import LARGE, brain


def volume(chances: np.ndarray, mm: float = 2.0) -> Image:
    return Image(chances[None], np.diag([mm, mm, mm, 1.0]))


def test_small_and_hesitant_pieces_do_not_count() -> None:
    chances = np.zeros((20, 20, 20), np.float32)
    chances[1:6, 1:6, 1:6] = 0.6
    chances[3, 3, 3] = 0.95  # large and sure
    chances[10:15, 10:15, 10:15] = 0.6  # large, never sure
    chances[18, 18, 18] = 0.99  # sure, and 0.008 ml
    mask, lesions, _ = outlined(chances, volume(chances), Rule(0.5, 0.9, 0.0, 0.02))
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
    mask, lesions, _ = outlined(chances, volume(chances), rule)
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
        read({"sequences": ["FLAIR"], "rule": given_rule}, LesionSettings, "It", "so much is allowed.")


def test_a_model_brings_its_rule_along(model: Model) -> None:
    image, _ = brain(11, LARGE)
    usual = predict(model, image, each=False)
    strict = replace(model, spec=replace(model.spec, network={**model.spec.network, "rule": {"least_ml": 1e6}}))
    found = predict(strict, image, each=False)
    assert usual.lesions and usual.mask.any()
    assert not found.lesions and not found.mask.any()
    assert np.array_equal(found.map, usual.map)


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(np.float32, (6, 7, 5), elements=st.sampled_from([0.0, 0.3, 0.55, 0.75, 0.95])),
    st.sampled_from([None, Calibration(-2.0, 1.5, 0.8), Calibration(3.0, 0.5, 0.0), Calibration(-9.0, 0.0, 1.0)]),
    st.sampled_from([Rule(0.5, 0.5, 0.0, 0.0), Rule(0.5, 0.9, 0.5, 0.03)]),
)
def test_more_probable_than_not_means_that_a_lesion_is_outlined(
    chances: np.ndarray, calibration: Calibration | None, rule: Rule
) -> None:
    mask, lesions, any_lesion = outlined(chances, volume(chances), rule, calibration=calibration)
    assert (any_lesion >= 0.5) == bool(lesions) == bool(mask.any())
    assert all(0.5 <= lesion.probability <= 1 for lesion in lesions)
    if lesions:
        assert any_lesion == max(lesion.probability for lesion in lesions)


def test_a_larger_or_surer_piece_is_never_less_probable() -> None:
    calibration = Calibration(-2.0543, 1.581, 0.8519)
    means, volumes = np.linspace(0.5, 1, 30), np.geomspace(0.2, 100, 30)
    rising = calibration.probabilities(means[:, None], volumes[None])
    assert (np.diff(rising, axis=0) >= 0).all() and (np.diff(rising, axis=1) >= 0).all()
    with pytest.raises(ModelError, match="weights of 0 or more"):
        Calibration(0.0, -1.0, 1.0)


def test_a_calibration_keeps_lesion_free_examinations_below_half() -> None:
    rng = np.random.default_rng(0)
    true = [([Candidate(rng.uniform(0.7, 0.98), rng.uniform(2, 30), True)], True) for _ in range(12)]
    free = [([Candidate(rng.uniform(0.5, 0.75), rng.uniform(0.2, 6), False) for _ in range(3)], False) for _ in range(20)]
    made = calibrated([*true, *free, ([], False)])

    def best(pieces: list[Candidate]) -> float:
        return float(made.probabilities(np.array([p.mean for p in pieces]), np.array([p.volume for p in pieces])).max())

    assert sum(best(pieces) >= 0.5 for pieces, _ in free) <= 1
    assert sum(best(pieces) >= 0.5 for pieces, _ in true) >= 8
    with pytest.raises(CasewiseError, match="some that are none"):
        calibrated(true)


def test_a_calibration_that_is_none_is_refused() -> None:
    for given_table in ({"bright": {"intercept": 1.0}}, 3.0, {"bright": {"intercept": "x", "mean": 1.0, "volume": 1.0}}):
        with pytest.raises(ModelError, match="calibration"):
            read({"sequences": ["FLAIR"], "calibration": given_table}, LesionSettings, "It", "so much is allowed.")
    assert LesionSettings(("FLAIR",)).calibration_of(["FLAIR"]) is None
