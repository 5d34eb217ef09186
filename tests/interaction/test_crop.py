"""The crop around a box is the same in training and in use: 1.35 times the box, which then fills the same part of the grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from casewise.image import Box, Image
from casewise.interaction import crop
from casewise.interaction.crop import Region, cut
from casewise.interaction.simulation import pictures, volumes

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
        displayed = torch.from_numpy(ramp)[None, None]
        edges = (float(top), float(top + height), float(left), float(left + width))
        crops = cut(displayed, torch.ones(1, 192, 192, dtype=torch.uint8), [edges], grid, (crop.WIDENED, crop.WIDENED))
        used, trained = region.crop(Image(ramp[None], np.eye(4)))[0], crops.images[0, 0]
        assert np.abs(used - trained).max() < 0.04, "the window's edges are rounded to whole pixels in a session"
        share = crops.inside[0].mean(), region.inside().mean()
        assert share[0] == pytest.approx(share[1], abs=0.05) and share[1] == pytest.approx(1 / WIDER**2, abs=0.05)


def test_a_volume_is_cut_axis_by_axis() -> None:
    """Planes of thick voxels are not widened: the whole depth of the grid is the box's, and the axes do not change places."""
    places = np.stack(np.mgrid[:64, :60, :20]).astype(np.float32)  # (3, 64, 60, 20): each channel says where along one axis
    truth = np.zeros((1, 64, 60, 20), np.uint8)
    truth[0, 22:42, 20:40, 5:15] = 1
    crops = cut(
        torch.from_numpy(places)[None],
        torch.from_numpy(truth),
        [(22, 42, 20, 40, 5, 15)],
        (54, 54, 10),
        (crop.WIDENED, crop.WIDENED, 1.0),
    )
    assert crops.images.shape == (1, 3, 54, 54, 10)
    np.testing.assert_array_equal(crops.truth, crops.inside, "the object fills its box")
    sides = [np.flatnonzero(crops.inside[0].any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    assert [len(side) for side in sides] == [40, 40, 10]
    for axis in range(3):
        along = crops.images[0, axis].mean(axis=tuple({0, 1, 2} - {axis}))
        assert (np.diff(along) > 0).all(), axis


def test_training_and_use_have_one_factor_and_one_function() -> None:
    """Nothing in the training or in the sets knows the factor: both get it, and the cut itself, from the crop's file."""
    assert crop.WIDENED == WIDER
    for module in (pictures, volumes):
        assert module.WIDENED is crop.WIDENED
        assert module.cut is crop.cut
    package = Path(crop.__file__).parent
    written = [path.name for path in package.rglob("*.py") if "1.35" in path.read_text(encoding="utf-8")]
    assert written == ["crop.py"]
