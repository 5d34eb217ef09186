"""Right-handed copies: the same voxels at the same places, and masks back exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from casewise.formats import write
from casewise.formats.handedness import right_handed
from casewise.image import Image

matrices = arrays(np.float64, (3, 3), elements=st.floats(-4, 4)).filter(lambda m: abs(np.linalg.det(m)) > 0.05)
shapes = st.tuples(*(st.integers(1, 5) for _ in range(3)))


def image_of(matrix: np.ndarray, shape: tuple[int, ...]) -> Image:
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = matrix, (3, -7, 11)
    return Image(np.arange(np.prod(shape)).reshape(1, *shape), affine)


@given(matrices, shapes, st.integers(0, 1000))
@settings(max_examples=200, deadline=None)
def test_a_copy_is_right_handed_and_each_voxel_stays_in_its_place(matrix: np.ndarray, shape: tuple[int, ...], seed: int) -> None:
    image = image_of(matrix, shape)
    copy = right_handed(image)
    assert np.linalg.det(copy.image.affine[:3, :3]) > 0
    assert (copy.flipped is None) == (np.linalg.det(matrix) > 0)
    voxels = np.argwhere(np.ones(shape))
    turned = copy.places_back(voxels)
    values = copy.image.array[0][tuple(turned.T)]
    assert (values == image.array[0][tuple(voxels.T)]).all()
    places, moved = (
        voxels_ @ affine[:3, :3].T + affine[:3, 3] for voxels_, affine in ((voxels, image.affine), (turned, copy.image.affine))
    )
    assert np.allclose(places, moved)
    assert (copy.places_back(turned) == voxels).all()
    mask = np.random.default_rng(seed).random(shape) < 0.5
    drawn = copy.back(mask)
    assert (copy.back(drawn) == mask).all()
    assert {tuple(one) for one in copy.places_back(np.argwhere(mask)).tolist()} == {
        tuple(one) for one in np.argwhere(drawn).tolist()
    }


def test_a_right_handed_volume_and_a_picture_are_their_own_copies() -> None:
    for image in (image_of(np.eye(3), (2, 3, 4)), Image(np.zeros((1, 3, 4)), np.diag([-1, 1, 1, 1.0]))):
        assert right_handed(image).image is image


def test_simpleitk_sees_both_at_the_same_places(tmp_path: Path) -> None:
    SimpleITK = pytest.importorskip("SimpleITK")
    image = image_of(np.diag([-1.0, 1.5, 2.0]), (4, 5, 6))
    image = Image(image.array.astype(np.int16), image.affine)
    for name, written in (("as-it-is", image), ("copy", right_handed(image).image)):
        write(tmp_path / f"{name}.nii.gz", written)
    first, second = (SimpleITK.ReadImage(str(tmp_path / f"{name}.nii.gz")) for name in ("as-it-is", "copy"))
    for index in ((0, 0, 0), (3, 2, 5), (1, 4, 2)):
        there = second.TransformPhysicalPointToIndex(first.TransformIndexToPhysicalPoint(index))
        assert first[index] == second[there]
