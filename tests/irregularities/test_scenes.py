"""Where a detector looks: boxes come back from an image that was turned, enlarged or cut into slices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casewise.chest.look import ChestLook, chest_scale
from casewise.chest.region import Region, Regions
from casewise.chest.region_pose import Pose
from casewise.chest.segments import PIXEL_MM
from casewise.errors import CasewiseError
from casewise.header import Header
from casewise.image import Box, Image
from casewise.irregularities.planes import Planes, pieces
from casewise.irregularities.scenes import RegionLook, Scale

SHAPE = (210, 180)
edges = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(1, 40), st.integers(1, 40))


def upright_lungs() -> dict[str, np.ndarray]:
    masks = {name: np.zeros(SHAPE, bool) for name in ("right_lung", "left_lung")}
    masks["right_lung"][20:190, 10:80] = True
    masks["left_lung"][20:190, 100:170] = True
    return masks


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("spacing", [PIXEL_MM, 2 * PIXEL_MM])
def test_a_chests_boxes_come_back_from_the_upright_film(turns: int, mirrored: bool, spacing: float) -> None:
    pose = Pose(turns, mirrored)
    masks = {name: np.ascontiguousarray(pose.back(mask)) for name, mask in upright_lungs().items()}
    plane = np.random.default_rng(0).normal(100, 5, next(iter(masks.values())).shape)
    image = Image(plane[None].astype(np.float32), np.diag([spacing, spacing, 1, 1]), Header(spacing_known=True))
    own = Regions({name: Region(name, mask, Box.around(mask) or Box.whole(mask.shape)) for name, mask in masks.items()}, (), pose)
    (scene,) = ChestLook(Scale(), lambda _: own).scenes(image, {})
    planes = Planes(image)
    box = Box((40, 60), (70, 80))
    ((number, flat),) = planes.boxes_of(box)
    film = scene.within(flat)
    assert number == 0 and scene.enlarged == pytest.approx(spacing / PIXEL_MM)
    assert planes.box_of(scene.in_plane(film)) == box
    bright = plane.copy()
    bright[box.slices] += 500
    (again,) = ChestLook(Scale(), lambda _: own).scenes(image.with_array(bright[None].astype(np.float32)), {})
    assert again.array[film.slices].mean() > 550 and np.median(again.array) < 120
    assert list(ChestLook(Scale(), lambda _: own).scenes(image, {}, only=[1])) == []


@given(edges, st.integers(0, 5), st.integers(1, 3))
@settings(deadline=None, max_examples=20)
def test_a_volumes_boxes_come_back_from_its_slices(edge: tuple[int, ...], first: int, thick: int) -> None:
    affine = np.array([[0, 0.9, 0, 0], [-0.8, 0, 0, 0], [0, 0, 3, 0], [0, 0, 0, 1]])
    image = Image(np.zeros((1, 100, 110, 8), np.float32), affine)
    box = Box((edge[0], edge[1], first), (edge[0] + edge[2], edge[1] + edge[3], min(8, first + thick)))
    planes = Planes(image)
    mask = np.zeros(image.spatial_shape, bool)
    mask[box.slices] = True
    flat = planes.boxes_of(box)
    assert {number: [one] for number, one in flat} == {n: pieces(part) for n, part in enumerate(planes.masks(mask)) if part.any()}
    numbers = [number for number, _ in flat]
    assert planes.box_of(flat[0][1], min(numbers), max(numbers) + 1) == box
    assert np.array_equal(planes.back(planes.masks(mask)) > 0, mask)


@given(edges, st.floats(0.8, 4))
@settings(deadline=None, max_examples=20)
def test_boxes_come_back_from_an_enlarged_plane(edge: tuple[int, ...], factor: float) -> None:
    image = Image(np.random.default_rng(0).normal(0, 1, (1, 100, 110)).astype(np.float32))
    (scene,) = RegionLook((), Scale(0.0, factor)).scenes(image, {})
    box = Box((edge[0], edge[1]), (edge[0] + edge[2], edge[1] + edge[3]))
    within, back = scene.within(box), scene.in_plane(scene.within(box))
    assert all(0 <= lo < hi <= n for lo, hi, n in zip(within.lower, within.upper, scene.array.shape, strict=True))
    assert all(
        b <= a and d >= c and a - b <= 2 and d - c <= 2
        for a, b, c, d in zip(box.lower, back.lower, box.upper, back.upper, strict=True)
    )


def test_a_chest_detector_refuses_a_volume_and_one_of_regions_an_image_without() -> None:
    volume = Image(np.zeros((1, 20, 20, 4), np.float32))
    with pytest.raises(CasewiseError, match="volume"):
        list(ChestLook(Scale(), lambda _: Regions({})).scenes(volume, {}))
    with pytest.raises(CasewiseError, match="no mask of liver"):
        list(RegionLook(("liver",), Scale()).scenes(volume, {}))


def test_irregularities_of_films_are_measured_in_the_pixels_that_nodules_are_sought_at() -> None:
    scale = chest_scale([20.0, 20.0], [(2 * PIXEL_MM, 1024), (0.0, 1024)])
    assert scale.overlap == 40 and scale.enlarged == 1 and scale.pixel_mm == 0
