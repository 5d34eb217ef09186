"""Rescaling: the same numbers wherever an image meets a network."""

from __future__ import annotations

import numpy as np

from casewise.intensity import percentile_range, rescaled, unit_range, unit_range_each


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
