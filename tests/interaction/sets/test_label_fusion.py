"""A first mask from what filled the boxes of accepted cases."""

from __future__ import annotations

import numpy as np
import pytest

from casewise import Box, Image
from casewise.case import Case
from casewise.interaction.sets.label_fusion import FusedMask, fused_mask
from casewise.training.metrics import dice


def ringed(size: int, centre: tuple[float, float], radius: float, seed: int) -> tuple[Image, np.ndarray]:
    """A bright wall around a dark cavity."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size]
    away = np.hypot(rows - centre[0], columns - centre[1])
    wall = (away < radius) & (away >= 0.6 * radius)
    return Image((0.2 + 0.6 * wall + rng.normal(0, 0.03, (size, size))).astype(np.float32)[None]), wall


def accepted(count: int = 3) -> list[Case]:
    made = [ringed(80 + 7 * n, (38 + n, 40), 15 + 2 * n, n) for n in range(count)]
    return [Case.of(image, {"wall": mask}) for image, mask in made]


def mask_of(fused: FusedMask | None) -> np.ndarray:
    assert fused is not None
    return fused.mask


@pytest.mark.parametrize("loose", [0, 4, 7])
def test_a_wall_is_found_without_a_stroke_however_loose_the_box(loose):
    image, truth = ringed(120, (60, 70), 24, 9)
    tight = Box.around(truth)
    box = Box(tuple(n - loose for n in tight.lower), tuple(n + loose // 2 for n in tight.upper))
    found = mask_of(fused_mask(image, box, accepted(), "wall"))
    assert dice(found, truth) > 0.8
    outside = np.ones(truth.shape, bool)
    outside[box.slices] = False
    assert not found[outside].any()
    assert np.array_equal(found, mask_of(fused_mask(image, box, accepted(), "wall")))


def test_dissimilar_cases_are_left_out():
    noise = Image(np.random.default_rng(0).random((1, 90, 90), dtype=np.float32))
    assert fused_mask(noise, Box((20, 20), (60, 60)), accepted(), "wall") is None
    assert fused_mask(noise, Box((20, 20), (60, 60)), [], "wall") is None


def test_a_box_at_the_border_and_of_one_pixel_work():
    image, truth = ringed(60, (10, 12), 18, 3)
    tight = Box.around(truth)
    found = fused_mask(image, tight, accepted(), "wall")
    assert found is None or dice(found.mask, truth) > 0.4
    tiny = fused_mask(image, Box((5, 5), (6, 6)), accepted(), "wall")
    assert tiny is None or tiny.mask.sum() == 1


def test_volumes_and_cases_of_other_axes():
    grid = np.indices((36, 34, 16)).astype(float)
    volumes = []
    for n in range(3):
        truth = sum(((g - c) / r) ** 2 for g, c, r in zip(grid, (17, 16 + n, 8), (10, 9 + n, 5), strict=True)) < 1
        values = 0.2 + 0.6 * truth + np.random.default_rng(n).normal(0, 0.02, truth.shape)
        volumes.append((Image(values.astype(np.float32)[None], np.diag([1.0, 1, 2, 1])), truth))
    cases = [Case.of(image, {"wall": mask}) for image, mask in volumes[:2]] + accepted(1)
    image, truth = volumes[2]
    tight = Box.around(truth)
    found = fused_mask(image, Box(tuple(max(0, n - 2) for n in tight.lower), tight.upper), cases, "wall")
    assert dice(mask_of(found), truth) > 0.85
