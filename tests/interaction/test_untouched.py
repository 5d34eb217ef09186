"""What no stroke touches changes only with a reason."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from casewise.image import Box, Image
from casewise.interaction import InteractiveSegmentation
from casewise.interaction.state import contradicted, unasked
from casewise.interaction.strokes import Strokes
from casewise.models import Model

EVERYWHERE = np.ones((3, 3))


def blobs(seed: int, shape: tuple[int, int] = (48, 48)) -> np.ndarray:
    return ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), 2) > 0.5


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_each_changed_part_has_a_stroke_of_its_kind(seed: int) -> None:
    before, after = blobs(seed), blobs(seed + 1)
    foreground, background = (np.random.default_rng(seed + n).random(before.shape) < 0.01 for n in (2, 3))
    stays = unasked(before, after, foreground, background)
    merged = np.where(stays, before, after)
    for changed, asked in ((merged & ~before, foreground), (before & ~merged, background)):
        parts, count = ndimage.label(changed, EVERYWHERE)
        assert all((asked & (parts == number)).any() for number in range(1, count + 1))
    for changed, asked in ((after & ~before, foreground), (before & ~after, background)):
        assert not (stays & changed & ndimage.binary_propagation(asked & changed, EVERYWHERE, changed)).any(), "what was asked for"


def test_strokes_are_compared_with_the_mask_that_they_were_drawn_on() -> None:
    mask = np.zeros((10, 10), bool)
    mask[2:8, 2:8] = True
    image = Image(np.zeros((1, 10, 10), np.float32))
    agreeing = Strokes.given(image, [[3, 3], [4, 4]], [[0, 0], [9, 9]])
    assert contradicted(mask, agreeing, Box.whole(mask.shape)) == 0
    assert contradicted(mask, Strokes.given(image, [[3, 3], [0, 5]], [[0, 0], [5, 5]]), Box.whole(mask.shape)) == 0.5
    assert contradicted(mask, Strokes.given(image, None, [[5, 5]]), Box.whole(mask.shape)) == 1


def picture(seed: int) -> tuple[Image, np.ndarray]:
    """Two bright objects and the mask of both, fine in detail."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((120, 120), bool)
    mask[20:50, 20:50] = True
    mask[70:100, 60:105] = True
    mask[75:80, 70:90] = False
    array = rng.normal(100, 10, (120, 120)) + 60 * mask
    return Image(array[None].astype(np.float32)), mask


def test_a_good_mask_is_not_wrecked_by_few_strokes_on_it_and_many_on_the_rest(model: Model) -> None:
    for seed in range(3):
        image, mask = picture(seed)
        session = InteractiveSegmentation(model, image, mask=mask, device="cpu")
        assert np.array_equal(session.mask, mask)
        background = np.zeros_like(mask)
        background[110:115] = True
        background[5:8, 10:110] = True
        foreground = np.zeros_like(mask)
        foreground[30, 30:33] = True
        after = session.add_scribbles(foreground, background)
        assert np.array_equal(after, mask), "every stroke agrees with the mask, so nothing asks for a change"


def test_a_given_mask_changes_where_a_stroke_asks_for_it_and_nowhere_else(model: Model) -> None:
    image, mask = picture(4)
    session = InteractiveSegmentation(model, image, mask=mask, device="cpu")
    erased = np.zeros_like(mask)
    erased[25:30, 22:26] = True
    after = session.add_scribbles(None, erased)
    assert not after[erased].any()
    changed, count = ndimage.label(after != mask, EVERYWHERE)
    assert count >= 1 and all((erased & (changed == number)).any() for number in range(1, count + 1))
    assert np.array_equal(after[60:], mask[60:]), "the other object"
    assert np.array_equal(session.undo(), mask)
