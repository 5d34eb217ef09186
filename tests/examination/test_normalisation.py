"""Intensities: one scale for all sequences, ADC in its unit or refused, and the bias field taken out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casewise.errors import CasewiseError
from casewise.examination.bias_field import without_bias
from casewise.examination.normalisation import check_unit, foreground, normalised
from tests.examination.phantom import SHAPE, affine, head, tissues


@settings(max_examples=20, deadline=None)
@given(gain=st.floats(0.01, 1000), offset=st.floats(-500, 500))
def test_the_scanners_own_scale_does_not_matter(gain: float, offset: float) -> None:
    array = np.random.default_rng(0).normal(300, 60, (12, 12, 12))
    displayed = np.ones(array.shape, bool)
    plain, scaled = normalised(array, "T1", displayed), normalised(array * gain + offset, "T1", displayed)
    assert np.allclose(plain, scaled, atol=1e-2)


def test_the_foreground_has_mean_0_and_deviation_1() -> None:
    image = head("T2")
    values = normalised(image.array[0], "T2")[tissues(affine(), SHAPE) > 0]
    assert abs(np.median(values)) < 0.5
    assert 0.5 < values.std() < 2
    assert np.abs(values).max() <= 5


def test_an_adc_map_keeps_its_absolute_values() -> None:
    array = np.array([[[0, 700, 1500, 3000]]], np.int16)
    assert np.allclose(normalised(array, "ADC"), [[[0, 0.7, 1.5, 3.0]]])


def test_the_foreground_is_all_of_a_head_and_none_of_its_air() -> None:
    head_voxels = tissues(affine(), SHAPE) > 0
    for kind in ("T1", "PD"):
        displayed = foreground(head(kind).array[0])
        assert np.mean(displayed[head_voxels]) > 0.97
        assert np.mean(displayed[~head_voxels]) < 0.03


def test_without_its_skull_everything_above_0_is_foreground() -> None:
    array = np.zeros((10, 10, 10))
    array[3:7, 3:7, 3:7] = np.linspace(1, 50, 64).reshape(4, 4, 4)
    assert np.array_equal(foreground(array), array > 0)


@pytest.mark.parametrize(
    ("scale", "words"),
    [(1e-3, "10⁻³ mm²/s; multiply it by 1,000"), (1e-6, "mm²/s; multiply it by 1,000,000"), (0.1, "10⁻⁵ mm²/s; multiply it by 10")],
)
def test_an_adc_map_in_another_unit_gets_its_sentence(scale: float, words: str) -> None:
    with pytest.raises(CasewiseError) as caught:
        check_unit(head("ADC").array * scale, "ADC (a.nii.gz)")
    assert words in str(caught.value)
    assert str(caught.value).startswith("ADC (a.nii.gz) has a median of")


def test_an_adc_map_in_its_unit_passes_and_what_is_none_is_named() -> None:
    check_unit(head("ADC").array, "ADC")
    with pytest.raises(CasewiseError, match="no ADC map"):
        check_unit(np.full((4, 4, 4), 1e12), "ADC")
    with pytest.raises(CasewiseError, match="empty"):
        check_unit(np.zeros((4, 4, 4)), "ADC")


def test_a_bias_field_is_found_and_taken_out() -> None:
    image = head("T1", noise=10)
    displayed = tissues(affine(), SHAPE) == 1
    x, y, _ = (np.linspace(-1, 1, n) for n in SHAPE)
    field = np.exp(0.4 * x)[:, None, None] * np.exp(0.2 * y)[None, :, None]
    biased = (image.array[0] * field).astype(np.float32)
    mended = without_bias(biased, foreground(biased), image.spacing)
    spread = [float(array[displayed].std() / array[displayed].mean()) for array in (biased, mended)]
    assert spread[0] > 0.15
    assert spread[1] < 0.4 * spread[0]
    assert mended.shape == biased.shape


def test_an_empty_image_has_no_bias_field_to_be_found() -> None:
    with pytest.raises(CasewiseError, match="too little"):
        without_bias(np.zeros((20, 20, 20), np.float32), np.zeros((20, 20, 20), bool), (1.0, 1.0, 1.0))
