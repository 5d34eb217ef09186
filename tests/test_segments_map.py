"""What a network said of its segments, merged on the image's grid: nothing moves, nothing is made up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casewise.errors import CasewiseError
from casewise.orientation import TURNS, Turn
from casewise.segments_map import PlaceMap, in_grey_levels, merged

SHAPE = (90, 70)


@st.composite
def parts(draw: st.DrawFn, axes: int = 2, least: float = 0.6) -> PlaceMap:
    """Values of a segment that lies in the image, over its edge, or outside; whole pixels a place or not."""
    shape = tuple(draw(st.integers(1, 9)) for _ in range(axes))
    step = tuple(draw(st.floats(least, 8)) for _ in range(axes))
    origin = tuple(draw(st.floats(-20, 95)) for _ in range(axes))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return PlaceMap(random.random(shape), random.random(shape) < draw(st.sampled_from((0.5, 1.0))), origin, step)


def said_of(pixel: tuple[int, int], part: PlaceMap) -> float | None:
    """What a part says of a pixel; None where it says nothing."""
    places = [np.floor((n + 0.5 - o) / s + 1e-9) for n, o, s in zip(pixel, part.origin, part.step, strict=True)]
    if not all(0 <= place < n for place, n in zip(places, part.values.shape, strict=True)):
        return None
    row, column = map(int, places)
    return float(np.float32(part.values[row, column])) if part.inside[row, column] else None


@given(st.sampled_from(TURNS), st.integers(8, 60), st.integers(8, 50), st.floats(0.6, 7), st.integers(-3, 1))
def test_a_peak_stays_at_its_place_in_every_pose(turn: Turn, row: int, column: int, step: float, shift: int) -> None:
    upright = turn.upright(np.zeros(SHAPE))
    bright = np.zeros(SHAPE)
    bright[row : row + 2, column : column + 2] = 1
    peak = np.argwhere(turn.upright(bright)).mean(axis=0) + 0.5  # where the network sees it, in pixels of the upright image
    origin = (step * shift, step * shift)
    places = tuple(int(np.ceil((n - o) / step)) for n, o in zip(upright.shape, origin, strict=True))
    values = np.full(places, 0.1)
    values[tuple(int((at - o) // step) for at, o in zip(peak, origin, strict=True))] = 0.9
    whole = turn.back(merged([PlaceMap(values, np.ones(places, bool), origin, (step, step))], upright.shape))
    assert whole.shape == SHAPE
    middle = np.argwhere(whole == np.nanmax(whole)).mean(axis=0) + 0.5
    assert np.abs(middle - (row + 1, column + 1)).max() <= step / 2 + 0.5


@given(st.lists(parts(least=1), max_size=4), st.randoms())
def test_every_pixel_has_the_highest_of_what_was_said_of_it_and_none_where_nobody_looked(found: list[PlaceMap], order) -> None:
    whole = merged(found, SHAPE)
    assert whole.dtype == np.float32
    for pixel in ((0, 0), (45, 33), (89, 69), (20, 60)):
        said = [value for part in found if (value := said_of(pixel, part)) is not None]
        assert whole[pixel] == max(said) if said else np.isnan(whole[pixel])
    order.shuffle(found)
    assert np.array_equal(merged(found, SHAPE), whole, equal_nan=True)


@given(parts(axes=3))
def test_blocks_of_a_volume_are_merged_as_segments_are(part: PlaceMap) -> None:
    whole = merged([part, part], (60, 50, 40))
    assert set(whole[np.isfinite(whole)]) <= set(part.values[part.inside].astype(np.float32))


@given(parts())
def test_grey_levels_keep_apart_what_is_unlikely_and_what_nobody_looked_at(part: PlaceMap) -> None:
    whole = merged([part], SHAPE)
    levels = in_grey_levels(whole)
    assert np.array_equal(levels == 0, np.isnan(whole))
    looked = levels > 0
    assert not looked.any() or np.abs(levels[looked] / 255 - whole[looked]).max() <= 1 / 255


def test_what_does_not_fit_is_refused() -> None:
    ones, inside = np.ones((3, 4)), np.ones((3, 4), bool)
    for wrong in ((ones, inside[:2], (0, 0), (1, 1)), (ones, inside, (0,), (1, 1)), (ones, inside, (0, 0), (0, 1))):
        with pytest.raises(CasewiseError, match="one shape"):
            PlaceMap(*wrong)
    with pytest.raises(CasewiseError, match="2 axes"):
        merged([PlaceMap(ones, inside, (0, 0), (1, 1))], (5, 5, 5))
