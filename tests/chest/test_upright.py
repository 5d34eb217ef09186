"""A chest radiograph's plane is the same however its file has it: turned, mirrored, inverted, in one channel or in three."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casewise.chest.region_pose import Pose
from casewise.chest.upright import upright_plane
from casewise.image import Image

UPRIGHT = np.random.default_rng(0).integers(3, 200, (7, 5)).astype(np.uint8)


@given(st.builds(Pose, st.integers(0, 3), st.booleans(), st.booleans()), st.sampled_from([1, 2, 3]))
def test_a_film_of_any_pose_is_laid_upright_with_bright_bones(pose: Pose, channels: int) -> None:
    lying = pose.back(UPRIGHT)
    lying = int(UPRIGHT.max()) + int(UPRIGHT.min()) - lying if pose.inverted else lying
    found = upright_plane(Image(np.repeat(lying[None], channels, axis=0)), pose)
    assert found.dtype == np.float32 and found.flags.c_contiguous
    assert found == pytest.approx(UPRIGHT, abs=1e-4)
