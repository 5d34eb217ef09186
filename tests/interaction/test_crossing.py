"""Strokes of both kinds that cross: who gets the voxels that both mark."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casewise.errors import UsageError
from casewise.image import Image
from casewise.interaction.crossing import Crossed, uncrossed
from casewise.interaction.strokes import Strokes

SHAPE = (40, 40)


def flat(*masks: np.ndarray) -> list[np.ndarray]:
    return [np.flatnonzero(mask) for mask in masks]


def lines(down: int, across: int, shape: tuple[int, ...] = SHAPE, at: tuple[int, ...] = ()) -> list[np.ndarray]:
    """Two strokes that cross, as flat indices: of a width of ``down`` along the first axis, of ``across`` along the second."""
    one, other = np.zeros((2, *shape), bool)
    one[(slice(5, 35), slice(20, 20 + down), *at)] = True
    other[(slice(20, 20 + across), slice(5, 35), *at)] = True
    return flat(one, other)


@st.composite
def strokes(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """(foreground, background, shape): a few bars of any width in each, along any axis of a picture or a volume."""
    shape = tuple(draw(st.lists(st.integers(3, 14), min_size=2, max_size=3)))
    masks = np.zeros((2, *shape), bool)
    for mask in masks:
        for _ in range(draw(st.integers(0, 3))):
            lower = [draw(st.integers(0, n - 1)) for n in shape]
            mask[tuple(slice(low, low + draw(st.integers(1, 10))) for low in lower)] = True
    foreground, background = flat(*masks)
    return foreground, background, shape


@settings(max_examples=150, deadline=None)
@given(strokes())
def test_whatever_crosses(drawn: tuple[np.ndarray, np.ndarray, tuple[int, ...]]) -> None:
    foreground, background, shape = drawn
    both = np.intersect1d(foreground, background)
    if 2 * both.size > min(foreground.size, background.size) and both.size:
        for one, other in ((foreground, background), (background, foreground)):
            with pytest.raises(UsageError, match="More than half"):
                uncrossed(one, other, shape)
        return
    on, off, crossed = uncrossed(foreground, background, shape)
    assert not np.intersect1d(on, off).size
    assert np.array_equal(np.setdiff1d(on, both), np.setdiff1d(foreground, both))
    assert np.array_equal(np.setdiff1d(off, both), np.setdiff1d(background, both))
    assert np.isin(on, foreground).all() and np.isin(off, background).all()
    decided = np.isin(both, on).sum() + np.isin(both, off).sum()
    assert crossed == Crossed(int(decided), int(both.size - decided)) and bool(crossed) == bool(both.size)
    swapped = uncrossed(background, foreground, shape)
    assert np.array_equal(swapped[0], off) and np.array_equal(swapped[1], on) and swapped[2] == crossed


@pytest.mark.parametrize(("thin", "wide"), [(1, 2), (1, 5), (3, 5), (2, 9)])
@pytest.mark.parametrize("swapped", [False, True])
def test_the_clearly_thinner_one_counts(thin: int, wide: int, swapped: bool) -> None:
    one, other = lines(thin, wide)
    both = np.intersect1d(one, other)
    kept, cut, crossed = uncrossed(*((one, other) if not swapped else lines(wide, thin)[::-1]), SHAPE)
    assert crossed == Crossed(decided=thin * wide)
    assert len(kept) == 30 * thin and len(cut) == 30 * wide - both.size


@pytest.mark.parametrize(("down", "across"), [(1, 1), (2, 2), (2, 3), (5, 6)])
def test_of_strokes_about_as_wide_neither_counts(down: int, across: int) -> None:
    one, other = lines(down, across)
    on, off, crossed = uncrossed(one, other, SHAPE)
    assert crossed == Crossed(undecided=down * across)
    assert np.array_equal(np.union1d(on, off), np.setxor1d(one, other))


def test_each_crossing_is_judged_by_the_widths_there() -> None:
    one, other = np.zeros((2, *SHAPE), bool)
    one[5, 2:38], one[20:26, 2:38] = True, True  # thin, then wide
    other[2:38, 10:13] = True
    on, _, crossed = uncrossed(*flat(one, other), SHAPE)
    kept = np.isin(np.arange(1600), on).reshape(SHAPE)
    assert kept[5].sum() == 36 and not kept[20:26, 10:13].any() and crossed == Crossed(decided=3 + 18)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_strokes_in_one_slice_of_a_volume_have_the_widths_of_that_slice(axis: int) -> None:
    one, other = np.zeros((2, 40, 40, 7), bool)
    one[5:35, 20, 3], other[18:23, 5:35, 3] = True, True
    one, other = (np.moveaxis(mask, 2, axis) for mask in (one, other))
    on, _, crossed = uncrossed(*flat(one, other), one.shape)
    assert np.array_equal(on, np.flatnonzero(one)) and crossed == Crossed(decided=5)


def test_at_an_edge_of_the_image_a_stroke_ends() -> None:
    one, other = np.zeros((2, *SHAPE), bool)
    one[0, :], other[:, -1] = True, True
    one[:, 0] = True  # reached only by going on in the row above
    assert uncrossed(*flat(one, other), SHAPE)[2] == Crossed(undecided=1)


@pytest.mark.parametrize("swapped", [False, True])
def test_half_may_be_contradicted_and_not_more(swapped: bool) -> None:
    half, more, whole = np.arange(2, 6), np.arange(3, 6), np.arange(4, 30)
    ordered = (lambda a, b: (b, a, SHAPE)) if swapped else (lambda a, b: (a, b, SHAPE))
    assert uncrossed(*ordered(half, whole))[2]
    names = ("background", "foreground") if swapped else ("foreground", "background")
    said = rf"^More than half of what is marked as {names[0]} \(2 of 3 voxels\) is marked as {names[1]} too; mark each place"
    with pytest.raises(UsageError, match=said):
        uncrossed(*ordered(more, whole))


def test_masks_and_places_come_the_same_way() -> None:
    one, other = lines(1, 4)
    masks = [np.isin(np.arange(1600), part).reshape(SHAPE) for part in (one, other)]
    image = Image(np.zeros((1, *SHAPE), np.float32))
    by_masks, by_places = Strokes.given(image, *masks), Strokes.given(image, *(np.argwhere(mask) for mask in masks))
    assert np.array_equal(by_masks.background, by_places.background) and by_masks.crossed == by_places.crossed == Crossed(4)
    assert [len(by_masks.foreground), len(by_masks.background)] == [30, 116]


def test_the_sentence_says_both_counts() -> None:
    assert Crossed().sentence == ""
    sentence = "1 voxel was marked as the object and as the rest at once: the thinner stroke counts at 0 of them, and neither at 1."
    assert Crossed(0, 1).sentence == sentence
    assert (Crossed(2, 3) + Crossed(1, 1)).to_json() | {"sentence": ""} == {
        "flag": "strokes_cross", "sentence": "", "decided": 3, "undecided": 4
    }  # fmt: skip
