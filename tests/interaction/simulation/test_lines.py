"""Vessels and cells' walls, painted into a picture: they run through it and contrast with it."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from experiments.interactive.networks_of_lines import cells, of_lines, vessels


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_painted_lines_contrast_and_are_the_same_for_a_seed(seed: int) -> None:
    picture = np.full((96, 80), 0.4, np.float32)
    (made, mask), (again, same) = (of_lines(picture, np.random.default_rng(seed)) for _ in range(2))
    assert made.shape == mask.shape == picture.shape and made.dtype == np.float32 and mask.dtype == bool
    assert made.min() >= 0 and made.max() <= 1
    np.testing.assert_array_equal(made, again)
    np.testing.assert_array_equal(mask, same)
    if 40 <= mask.sum() <= 0.7 * mask.size:
        assert abs(made[mask].mean() - made[~mask].mean()) > 0.005


def test_vessels_are_thin_and_reach_far() -> None:
    long = 0
    for seed in range(12):
        mask = vessels((128, 128), np.random.default_rng(seed))
        assert ndimage.distance_transform_edt(mask).max() <= 8, "vessels that cross are wider there"
        places = np.argwhere(mask)
        long += int(len(places) and np.ptp(places, axis=0).max() > 64)
    assert long >= 8


def test_walls_part_the_cells() -> None:
    for seed in range(6):
        walls, number = cells((96, 96), np.random.default_rng(seed))
        labels, _ = ndimage.label(~walls)
        for part in range(1, min(int(labels.max()), 20) + 1):
            assert len(np.unique(number[labels == part])) <= 2, "a wall may have a gap, no more"
