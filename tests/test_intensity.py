"""Rescaling: the same numbers wherever an image meets a network."""

from __future__ import annotations

import numpy as np
import pytest

from casewise.intensity import grey, percentile_range, rescaled, unit_range, unit_range_each


def test_colours_become_their_luminance_and_other_channels_their_mean() -> None:
    colours = np.eye(3, dtype=np.uint8)[:, :, None] * 200
    np.testing.assert_allclose(grey(colours)[:, 0], [59.8, 117.4, 22.8], rtol=1e-6)
    np.testing.assert_array_equal(grey(np.array([[[1, 2]], [[3, 6]]], np.int16)), [[2, 4]])


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
def test_one_channel_keeps_its_values(dtype: type) -> None:
    array = np.arange(24, dtype=dtype).reshape(1, 2, 3, 4)
    found = grey(array)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, array[0])


def test_percentiles_of_all_values() -> None:
    assert percentile_range(np.arange(201, dtype=np.int16)) == (1.0, 199.0)
    assert percentile_range(np.arange(101, dtype=np.float32), (10, 90)) == (10.0, 90.0)


def test_what_lies_beyond_the_range_is_cut_off() -> None:
    found = rescaled(np.array([-160, 40, 240, 3000], np.int16), -160.0, 240.0)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [0, 0.5, 1, 1])


def test_an_image_of_one_value_becomes_zero_and_never_not_a_number() -> None:
    np.testing.assert_array_equal(unit_range(np.full((4, 5), 7.0, np.float32)), np.zeros((4, 5)))
    np.testing.assert_array_equal(rescaled(np.array([-1.0, 0.0, 0.25, 9.0]), 0.0, 0.0), [0, 0, 0.25, 1])


def test_each_of_several_has_its_own_range() -> None:
    values = np.stack([np.linspace(0, 1, 400), np.linspace(500, 900, 400), np.full(400, 3.0)]).astype(np.float32).reshape(3, 20, 20)
    found = unit_range_each(values)
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)
    assert found[0].min() == 0 and found[0].max() == 1
    assert not found[2].any()
    np.testing.assert_allclose(found[1], unit_range(values[1]), atol=1e-6)
