"""The crop around a box is the same in training and in use: 1.35 times the box, which then fills the same part of the grid."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from casewise.image import Box, Image
from casewise.interaction.crop import Region
from casewise.interaction.simulation import pictures as loop
from casewise.interaction.simulation import volumes as loop_volumes

WIDER = 1.35  # what the shipped interactive models were trained with


@given(side=st.tuples(st.integers(40, 200), st.integers(40, 200)))
def test_a_session_looks_at_the_box_widened(side: tuple[int, int]) -> None:
    image = Image(np.zeros((1, 512, 512), np.float32), np.eye(4))
    box = Box((150, 160), (150 + side[0], 160 + side[1]))
    region = Region.around(image, box, (96, 96))
    for low, high, first, last, n in zip(region.lower, region.upper, box.lower, box.upper, side, strict=True):
        assert high - low == pytest.approx(WIDER * n, abs=1.01)
        assert first - low == high - last, "as much on either side"


@settings(max_examples=20, deadline=None)
@given(top=st.integers(40, 60), left=st.integers(40, 60), height=st.integers(40, 80), width=st.integers(40, 80))
def test_training_cuts_what_a_session_cuts(top: int, left: int, height: int, width: int) -> None:
    """A ramp along either axis tells which pixel each place of the grid shows."""
    rows, columns = np.mgrid[:192, :192].astype(np.float32) / 192
    box = Box((top, left), (top + height, left + width))
    size = (48, 48)
    for ramp in (rows, columns):
        region = Region.around(Image(ramp[None], np.eye(4)), box, size)
        grid = region.grid
        shown = torch.from_numpy(ramp)[None, None]
        edges = (float(top), float(top + height), float(left), float(left + width))
        guide, _ = loop._cut(shown, torch.ones(1, 192, 192, dtype=torch.uint8), [edges], grid, [(1.0, 1.0)])
        used, trained = region.crop(Image(ramp[None], np.eye(4)))[0], guide.images[0, 0]
        assert np.abs(used - trained).max() < 0.04, "the window's edges are rounded to whole pixels in a session"
        share = guide.box[0].mean(), region.inside().mean()
        assert share[0] == pytest.approx(share[1], abs=0.05) and share[1] == pytest.approx(1 / WIDER**2, abs=0.05)


def test_both_trainings_and_the_session_have_one_factor() -> None:
    from casewise.interaction import crop as region

    assert region.WIDENED == loop.WIDENED == loop_volumes.WIDENED == WIDER
