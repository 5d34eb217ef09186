"""How a mask's border lies on what its image shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casewise import Box, Image
from casewise.interaction.sets.borders import border_contrast
from casewise.interaction.sets.label_fusion import FusedMask
from casewise.interaction.sets.leave_one_out import LeaveOneOut, across_edges
from tests.interaction.conftest import ball_volume, disc_picture

KNOWN = LeaveOneOut(agreement=0.9, similarity=0.6, others=4, sides=(38.0, 38.0), contrast=1.0)


def around(mask: np.ndarray, margin: int = 4) -> Box:
    tight = Box.around(mask)
    assert tight is not None
    return Box(tuple(low - margin for low in tight.lower), tuple(high + margin for high in tight.upper))


def test_a_border_on_an_edge_has_more_contrast_than_one_beside_or_across_it() -> None:
    image, truth = disc_picture()
    box = around(truth, 12)
    contrast = border_contrast(image, box, truth)
    beside, across = np.roll(truth, 3, axis=0), np.roll(truth, 9, axis=0)
    assert contrast > 1 > border_contrast(image, box, beside) / contrast > border_contrast(image, box, across) / contrast
    # Half of a disc has an edge along half of its border, a ring has one of the other sign within.
    half = truth & (np.arange(90)[:, None] < 45)
    ring = truth & ~disc_picture(radius=9)[1]
    assert border_contrast(image, box, half) < 0.8 * contrast and border_contrast(image, box, ring) < 0.8 * contrast


@settings(max_examples=25, deadline=None)
@given(st.floats(0.1, 1000), st.floats(-500, 500), st.integers(0, 50))
def test_it_depends_on_neither_window_nor_offset_and_turns_with_the_picture(scale: float, offset: float, seed: int) -> None:
    image, truth = disc_picture()
    mask = np.roll(truth, np.random.default_rng(seed).integers(-6, 7, 2), axis=(0, 1))
    box = around(mask)
    contrast = border_contrast(image, box, mask)
    for sign in (1, -1):
        changed = image.with_array((sign * scale * image.array.astype(np.float64) + offset).astype(np.float32))
        assert border_contrast(changed, box, mask) == pytest.approx(sign * contrast, abs=0.02)


def test_a_mask_without_a_border_and_a_picture_without_edges_have_none() -> None:
    image, truth = disc_picture()
    box = Box((0, 0), (90, 90))
    assert border_contrast(image, box, np.zeros_like(truth)) == border_contrast(image, box, np.ones_like(truth)) == 0
    assert border_contrast(image.with_array(np.ones_like(image.array)), box, truth) == 0
    line = Image(np.arange(9, dtype=np.float32)[None, None])
    assert border_contrast(line, Box((0, 0), (1, 9)), line.array[0] > 4) == 0


def test_volumes_have_it_too() -> None:
    image, truth = ball_volume()
    box = around(truth, 2)
    contrast = border_contrast(image, box, truth)
    assert contrast > 1 and border_contrast(image, box, np.roll(truth, 8, axis=0)) < 0.4 * contrast


@pytest.mark.parametrize(
    ("accepted", "guess", "refused"),
    [(1.0, 0.9, False), (1.0, 0.1, True), (1.0, -1.0, True), (-1.0, -0.9, False), (-1.0, 0.9, True), (0.1, -0.5, False)],
)
def test_a_guess_is_refused_where_its_border_crosses_the_edges_that_the_accepted_ones_follow(
    accepted: float, guess: float, refused: bool
) -> None:
    image, truth = disc_picture()
    fused, nothing = FusedMask(truth, similarity=0.7, contrast=guess), np.zeros_like(truth)
    why = across_edges(fused, nothing, image, around(truth), [replace(KNOWN, contrast=accepted)] * 4)
    assert (why is not None and f"{guess:.2f}" in why and f"{accepted:.2f}" in why) if refused else why is None


def test_a_guess_unlike_the_networks_mask_is_used_only_where_its_border_is_as_clear() -> None:
    image, truth = disc_picture()
    box = around(truth, 12)

    def refused(guess: np.ndarray, own: np.ndarray, accepted: float = 1.0) -> bool:
        fused = FusedMask(guess, similarity=0.7, contrast=border_contrast(image, box, guess))
        return across_edges(fused, own, image, box, [replace(KNOWN, contrast=accepted)] * 4) is not None

    half = truth & (np.arange(90)[:, None] < 47)
    assert refused(half, truth)  # another thing, whose border is on an edge along half of it
    assert not refused(truth, half) and not refused(truth, truth)
    assert not refused(np.roll(truth, 3, axis=0), truth)  # the same thing, not quite in place
    assert not refused(half, ~truth)  # the network's mask has edges of the other sign: of something else than was accepted
    assert not refused(half, np.zeros_like(truth))
