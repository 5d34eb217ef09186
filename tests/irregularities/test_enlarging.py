"""A plane at the size of pixels that a detector learnt from: hardly reduced, its mask and its boxes where its pixels are."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from casewise.image import Box
from casewise.irregularities.enlarging import enlargement, nearest, resampled, rescaled
from casewise.segments import LEAST_SCALE


@given(st.floats(0.05, 10), st.floats(2, 5))
def test_a_plane_is_never_reduced_by_more_than_a_fifth(wanted: float, most: float) -> None:
    factor = enlargement(wanted)
    assert factor >= LEAST_SCALE
    assert factor == 1 or factor > 1 / LEAST_SCALE or wanted < LEAST_SCALE
    assert wanted < LEAST_SCALE or LEAST_SCALE <= wanted / factor <= 1 / LEAST_SCALE
    assert enlargement(wanted, most) == min(factor, most)


@given(st.integers(20, 60), st.integers(20, 60), st.floats(0.8, 4))
@settings(deadline=None)
def test_masks_and_pixels_are_enlarged_alike(rows: int, columns: int, factor: float) -> None:
    plane = np.zeros((rows, columns), np.float32)
    plane[rows // 4 : rows // 2, columns // 4 : columns // 2] = 1
    larger = resampled(plane, factor)
    mask = nearest(plane > 0, larger.shape)
    assert mask.shape == larger.shape and ((larger > 0.5) != mask).mean() < 0.15
    assert np.array_equal(nearest(mask, plane.shape), plane > 0) or factor < 1


@given(st.integers(0, 38), st.integers(1, 30), st.integers(1, 6), st.floats(0.8, 4))
def test_a_box_lies_within_the_grid_and_around_its_pixels(low: int, size: int, times: int, factor: float) -> None:
    box, shape = Box((low, 0), (min(40, low + size), 1)), (round(40 * factor), round(factor))
    there = rescaled(box, factor, shape)
    for lo, hi, own, end, n in zip(there.lower, there.upper, box.lower, box.upper, shape, strict=True):
        assert 0 <= lo < hi <= n
        assert lo <= own * factor + 1e-6 < lo + 1.1 or lo == n - 1
        assert hi == n or hi - 1.1 < end * factor - 1e-6 <= hi
    whole = rescaled(box, times, (40 * times, times))
    assert whole == Box((low * times, 0), (box.upper[0] * times, times))
    assert rescaled(whole, 1 / times, (40, 1)) == box
