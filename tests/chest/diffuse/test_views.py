"""A film's lungs as the network sees them: cut, replaced, mirrored, and brought back to the film."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casewise.boxes import intersect
from casewise.chest.diffuse.views import COLUMNS, ROWS, lungs_in
from casewise.chest.region import LEFT_LUNG, RIGHT_LUNG
from casewise.errors import CasewiseError
from casewise.segments_map import merged
from tests.chest.diffuse.films import SHAPE, lung_masks, plane_of, with_blob


@settings(max_examples=15, deadline=None)
@given(st.integers(120, 400), st.integers(40, 170), st.integers(2, 30))
def test_every_pixel_of_the_lungs_counts_once(height: int, width: int, gap: int) -> None:
    masks = lung_masks(height, width, gap)
    lungs = lungs_in(plane_of(masks), masks)
    area = sum(int(mask.sum()) for mask in masks.values()) * lungs.scale**2
    assert lungs.inside.sum() == pytest.approx(area, rel=0.03)
    assert lungs.pixels.shape == lungs.inside.shape == (len(lungs.segments), ROWS, COLUMNS)
    assert lungs.inside.min() >= -1e-6 and lungs.inside.max() <= 1 + 1e-6


def test_each_lung_is_cut_into_segments_that_overlap_and_show_no_other_lung() -> None:
    masks = lung_masks(gap=2)  # so near that their boxes with the margin overlap
    plane = plane_of(masks)
    plane[masks[LEFT_LUNG]] = 5000
    lungs = lungs_in(plane, masks)
    for name in (RIGHT_LUNG, LEFT_LUNG):
        own = [segment.box for segment in lungs.segments if segment.region == name]
        assert len(own) >= 2 and any(intersect(one, other) for one, other in combinations(own, 2))
    right = lungs.pixels[lungs.side == 0]
    assert right.max() < lungs.pixels[lungs.side == 1].max() / 2


def test_what_is_outside_the_lungs_is_replaced() -> None:
    masks = lung_masks()
    plane = plane_of(masks)
    other = np.where(np.logical_or.reduce(list(masks.values())), plane, 0).astype(np.float32)
    far = lungs_in(plane, masks), lungs_in(other, masks)
    inside = far[0].inside > 0.99  # a margin of the film is shown
    assert np.array_equal(far[0].inside, far[1].inside)
    assert np.abs(far[0].pixels - far[1].pixels)[inside].max() < 1e-4
    corner = far[0].pixels[:, -1, -1]
    assert np.allclose(corner, [view[own].mean() for view, own in zip(far[0].pixels, inside, strict=True)], atol=0.1)


@pytest.mark.parametrize(("row", "column"), [(120, 110), (300, 110), (120, 290), (210, 300), (300, 270)])
def test_a_place_comes_back_to_where_it_was_seen(row: int, column: int) -> None:
    masks = lung_masks()
    lungs = lungs_in(with_blob(plane_of(masks), row, column), masks)
    step = 16

    def pooled(views: np.ndarray) -> np.ndarray:
        return views.reshape(len(views), ROWS // step, step, COLUMNS // step, step).mean(axis=(2, 4))

    heat = merged(lungs.places(pooled(lungs.pixels), pooled(lungs.inside)), SHAPE)
    seen = np.unravel_index(np.nanargmax(heat), SHAPE)
    assert np.hypot(seen[0] - row, seen[1] - column) < 2 * step / lungs.scale
    both = np.logical_or.reduce(list(masks.values()))
    assert np.isfinite(heat[both]).mean() > 0.98


def test_heights_run_from_the_lungs_top_to_its_base() -> None:
    masks = lung_masks()
    lungs = lungs_in(plane_of(masks), masks)
    for number, segment in enumerate(lungs.segments):
        shown = lungs.height[number][lungs.inside[number].any(axis=1)]
        assert (np.diff(shown) >= 0).all()
        upper = segment.box.lower[0] < SHAPE[0] / 2 - 100
        assert (shown[0] < 0.05) if upper else (shown[-1] > 0.95)


def test_lungs_without_a_pixel_are_refused() -> None:
    with pytest.raises(CasewiseError, match="empty"):
        lungs_in(np.zeros(SHAPE, np.float32), {RIGHT_LUNG: np.zeros(SHAPE, bool)})
