"""How a film would look by another machine: what an answer is to be blind to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casewise.chest.diffuse.looks import LOOKS, Bands, Look

PIXELS = np.random.default_rng(0).random((2, 40, 50)).astype(np.float32)
INSIDE = np.zeros((2, 40, 50), bool)
INSIDE[:, 5:35, 10:40] = True


@given(st.tuples(*[st.floats(0.2, 3)] * 3), st.floats(0.4, 2.5), st.floats(0, 2), st.booleans())
def test_every_look_lies_between_0_and_1(gains: tuple[float, float, float], tone: float, blur: float, equalised: bool) -> None:
    seen = Bands(PIXELS, INSIDE).seen(Look(gains, tone, blur, equalised))
    assert seen.dtype == np.float32 and seen.shape == PIXELS.shape
    assert seen.min() >= 0 and seen.max() <= 1


@given(st.floats(0.2, 5), st.floats(-1, 1))
def test_exposure_and_contrast_do_not_change_the_plain_look(contrast: float, exposure: float) -> None:
    plain = Bands(PIXELS, INSIDE).seen(LOOKS[0])
    moved = Bands(PIXELS * np.float32(contrast) + np.float32(exposure), INSIDE).seen(LOOKS[0])
    assert np.allclose(plain, moved, atol=1e-3)


def test_no_development_changes_the_equalised_look() -> None:
    equalised = Look(equalised=True)
    assert equalised in LOOKS and len(set(LOOKS)) == len(LOOKS)
    seen, developed = (Bands(one, INSIDE).seen(equalised) for one in (PIXELS, PIXELS**3))
    assert np.abs(seen - developed).mean() < 0.01


@pytest.mark.parametrize("less", [Look(gains=(0.2, 1, 1)), Look(blur=1.5)])
def test_what_is_fine_is_lowered_and_blurred(less: Look) -> None:
    def fine(look: Look) -> float:
        seen = Bands(PIXELS, INSIDE).seen(look)
        return float(np.abs(np.diff(seen, axis=2))[:, 5:35, 10:39].mean())

    assert fine(less) < 0.9 * fine(Look())
