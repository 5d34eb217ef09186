"""Simulated strokes, as people draw them: where they may lie, how thick they are, and that a seed gives the same ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.morphology import skeletonize

from casewise.image import Box
from casewise.interaction.simulation.scribbles import KINDS, at_once, scribble

SEEDS = st.integers(0, 10_000)
THICKNESSES = st.sampled_from((1.0, 2.0, 3.0, 4.0, 6.0, 8.0))
ONE_PIXEL = 1.0  # by which a thin stroke may run over the border too


def region(seed: int, shape: tuple[int, int] = (48, 56)) -> np.ndarray:
    """Blobs, thin lines, single pixels or a ring, at times cut by the picture's border."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    away = np.hypot(rows - rng.uniform(0, shape[0]), columns - rng.uniform(0, shape[1]))
    found = (
        ndimage.gaussian_filter(rng.random(shape), 3) > 0.51,
        np.abs(rows - columns + rng.integers(-20, 20)) < 2,
        (away < 16) & (away > 11),
        rng.random(shape) < 0.001,
    )[seed % 4]
    return found if found.any() else away < 3


def boxed(truth: np.ndarray, margin: int = 3) -> np.ndarray:
    box = np.zeros(truth.shape, bool)
    around = Box.around(truth)
    assert around is not None
    box[tuple(slice(max(0, lo - margin), hi + margin) for lo, hi in zip(around.lower, around.upper, strict=True))] = True
    return box


@settings(max_examples=120, deadline=None)
@given(SEEDS, THICKNESSES, st.sampled_from((None, *KINDS)))
def test_a_stroke_lies_in_its_region_and_at_most_a_quarter_of_its_thickness_beyond(
    seed: int, thickness: float, kind: str | None
) -> None:
    inside = region(seed)
    drawn = scribble(inside, np.random.default_rng(seed), thickness, kind)
    assert drawn.shape == inside.shape and drawn.dtype == bool
    assert (drawn & inside).any()
    beyond = ndimage.distance_transform_edt(~inside)[drawn]
    assert beyond.max() <= np.hypot(max(ONE_PIXEL, thickness / 4), 0.5)


@settings(max_examples=60, deadline=None)
@given(SEEDS, THICKNESSES)
def test_the_same_seed_gives_the_same_strokes(seed: int, thickness: float) -> None:
    inside = region(seed)
    one, other = (scribble(inside, np.random.default_rng(seed), thickness) for _ in range(2))
    assert np.array_equal(one, other)
    one, other = (np.stack(at_once(inside, boxed(inside), np.random.default_rng(seed), thickness)) for _ in range(2))
    assert np.array_equal(one, other)


def test_other_seeds_give_other_strokes() -> None:
    inside = region(0)
    assert len({scribble(inside, np.random.default_rng(seed), 3).tobytes() for seed in range(8)}) == 8


@pytest.mark.parametrize("thickness", [1, 2, 3, 4, 5, 6, 8])
def test_strokes_are_as_thick_as_was_asked(thickness: int) -> None:
    """Twice the distance of the middle line to the border, in a region that leaves room."""
    inside = np.ones((96, 96), bool)
    widths = []
    for seed in range(12):
        drawn = scribble(inside, np.random.default_rng(seed), thickness, "line")
        depth = ndimage.distance_transform_edt(np.pad(drawn, 1))[1:-1, 1:-1]
        widths.append(2 * float(np.median(depth[skeletonize(drawn)])) - 1)
    assert abs(np.median(widths) - thickness) <= 1


def test_nothing_is_drawn_in_nothing() -> None:
    nothing = np.zeros((12, 9), bool)
    assert not scribble(nothing, np.random.default_rng(0), 3).any()
    assert not at_once(nothing, nothing, np.random.default_rng(0), 3, both=True)[0].any()


@settings(max_examples=80, deadline=None)
@given(SEEDS, THICKNESSES, st.booleans())
def test_no_place_is_marked_as_both_and_each_kind_where_it_belongs(seed: int, thickness: float, both: bool) -> None:
    truth = region(seed)
    foreground, background = at_once(truth, boxed(truth), np.random.default_rng(seed), thickness, both=both)
    assert not (foreground & background).any() and (foreground.any() or background.any())
    reach = np.hypot(max(ONE_PIXEL, thickness / 4), 0.5)
    assert not foreground.any() or ndimage.distance_transform_edt(~truth)[foreground].max() <= reach
    assert not background.any() or ndimage.distance_transform_edt(truth)[background].max() <= reach


@settings(max_examples=80, deadline=None)
@given(SEEDS, THICKNESSES)
@example(3, 8.0)  # single pixels
@example(15, 4.0)  # one of them, and beside it in the box but a few more
def test_both_kinds_are_drawn_where_there_is_room(seed: int, thickness: float) -> None:
    truth = region(seed)
    foreground, background = at_once(truth, boxed(truth), np.random.default_rng(seed), thickness, both=True)
    assert (foreground & truth).any()
    if (~ndimage.binary_dilation(truth, iterations=5)).any():
        assert (background & ~truth).any()


def test_an_object_that_fills_its_picture_leaves_no_room_for_the_rest() -> None:
    truth = np.ones((20, 20), bool)
    foreground, background = at_once(truth, truth, np.random.default_rng(0), 4, both=True)
    assert foreground.any() and not background.any()


def test_at_times_one_kind_alone_is_drawn_unless_both_are_asked_for() -> None:
    truth = region(2)
    box = boxed(truth)
    kinds = {tuple(bool(side.any()) for side in at_once(truth, box, np.random.default_rng(seed), 3)) for seed in range(60)}
    assert kinds == {(True, True), (True, False), (False, True)}
