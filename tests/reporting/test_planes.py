from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casewise.header import Header
from casewise.image import Box, Image
from casewise.reporting.planes import best_index, planes, spread, strip


def rotation(degrees: tuple[float, float, float]) -> np.ndarray:
    turned = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        step = np.eye(3)
        first, second = (axis + 1) % 3, (axis + 2) % 3
        step[first, first] = step[second, second] = np.cos(angle)
        step[first, second], step[second, first] = -np.sin(angle), np.sin(angle)
        turned = step @ turned
    return turned


def volume(directions: np.ndarray, spacing: tuple[float, float, float], shape=(20, 24, 28)) -> Image:
    """An image whose three channels hold the patient coordinates (R, A, S) of each voxel."""
    affine = np.eye(4)
    affine[:3, :3] = directions @ np.diag(spacing)
    affine[:3, 3] = (11, -7, 5)
    indices = np.stack(np.indices(shape), axis=-1)
    return Image(np.moveaxis(indices @ affine[:3, :3].T + affine[:3, 3], -1, 0), affine)


def signed_permutation(order: tuple[int, ...], signs: tuple[int, ...]) -> np.ndarray:
    matrix = np.zeros((3, 3))
    for voxel_axis, patient_axis in enumerate(order):
        matrix[patient_axis, voxel_axis] = signs[voxel_axis]
    return matrix


# For each plane: (patient axis, which falls from left to right), (patient axis, which falls from top to bottom).
EXPECTED = {"axial": (0, 1), "coronal": (0, 2), "sagittal": (1, 2)}

grids = st.tuples(
    st.sampled_from(list(permutations(range(3)))),
    st.tuples(*[st.sampled_from((-1, 1))] * 3),
    st.tuples(*[st.floats(-20, 20)] * 3),
    st.tuples(*[st.floats(0.7, 1.4)] * 3),
)


@settings(max_examples=80, deadline=None)
@given(grids)
def test_right_is_at_the_left_anterior_and_superior_are_up(grid):
    order, signs, angles, spacing = grid
    image = volume(rotation(angles) @ signed_permutation(order, signs), spacing)
    cuts = planes(image)
    assert {plane.name for plane in cuts} == set(EXPECTED)
    for plane in cuts:
        across, down = EXPECTED[plane.name]
        cut = plane.cut(np.moveaxis(image.array, 0, -1))
        assert (np.diff(cut[..., across], axis=1) < 0).all()
        assert (np.diff(cut[..., down], axis=0) < 0).all()
        assert plane.edges == (*("RL" if across == 0 else "AP"), *("AP" if down == 1 else "SI"))
        steps = np.linalg.norm(np.diff(cut, axis=0), axis=-1), np.linalg.norm(np.diff(cut, axis=1), axis=-1)
        assert plane.spacing == pytest.approx((steps[0].mean(), steps[1].mean()))


def test_an_axial_dicom_series_is_displayed_as_its_slices_are_stored():
    # (row, column, slice): rows run to posterior, columns to the patient's left, slices to superior.
    affine = np.array([[0, -0.7, 0, 0], [-0.7, 0, 0, 0], [0, 0, 5, 0], [0, 0, 0, 1.0]])
    array = np.arange(16 * 18 * 20, dtype=np.int16).reshape(16, 18, 20)
    plane = planes(Image(array[None], affine))[0]
    assert plane.name == "axial"
    np.testing.assert_array_equal(plane.at(13).cut(array), array[:, :, 13])


def test_a_sagittal_acquisition_leads_with_its_own_plane():
    image = volume(signed_permutation((1, 2, 0), (1, 1, 1)), (0.5, 0.5, 4.0))
    assert planes(image)[0].name == "sagittal"


def test_tilt_is_the_angle_to_the_named_plane():
    image = volume(rotation((17.0, 0.0, 0.0)), (1.0, 1.0, 1.0))
    tilts = {plane.name: plane.tilt for plane in planes(image)}
    assert tilts == pytest.approx({"axial": 17.0, "coronal": 17.0, "sagittal": 0.0}, abs=1e-6)


def test_stripes_and_unknown_spacing_leave_one_plane():
    assert [plane.name for plane in planes(volume(np.eye(3), (1, 1, 8), (64, 64, 5)))] == ["axial"]
    unknown = Image(np.zeros((1, 64, 64, 64)), header=Header(spacing_known=False))
    assert len(planes(unknown)) == 1


def test_a_picture_is_displayed_as_it_is():
    array = np.arange(12).reshape(3, 4)
    (plane,) = planes(Image(array[None], np.diag([-0.5, -0.25, 1, 1])))
    np.testing.assert_array_equal(plane.cut(array), array)
    assert plane.spacing == (0.5, 0.25)
    assert plane.edges == ("", "", "", "")


@settings(max_examples=60, deadline=None)
@given(grids, st.data())
def test_a_box_is_drawn_around_what_it_holds(grid, data):
    order, signs, angles, spacing = grid
    image = volume(rotation(angles) @ signed_permutation(order, signs), spacing)
    shape = image.spatial_shape
    lower = tuple(data.draw(st.integers(0, side - 2)) for side in shape)
    box = Box(lower, tuple(data.draw(st.integers(low + 1, side)) for low, side in zip(lower, shape, strict=True)))
    mask = np.zeros(shape, bool)
    mask[box.slices] = True
    for plane in planes(image):
        plane = plane.at(box.lower[plane.through])
        top, left, bottom, right = plane.rectangle(box, shape)
        drawn = np.zeros_like(plane.cut(mask))
        drawn[top:bottom, left:right] = True
        np.testing.assert_array_equal(drawn, plane.cut(mask))
        if box.upper[plane.through] < shape[plane.through]:
            assert plane.at(box.upper[plane.through]).rectangle(box, shape) is None


def test_the_slice_with_most_of_the_mask_is_chosen():
    image = volume(np.eye(3), (1, 1, 1))
    mask = np.zeros(image.spatial_shape, bool)
    mask[5:8, 5:8, 20:23] = True
    mask[2:12, 2:12, 21] = True
    axial = planes(image)[0]
    nothing = spread([np.zeros_like(mask)], image.spatial_shape)
    held = spread([mask, mask], image.spatial_shape)
    assert held[0][5] == 2 * (3 * 3 + 10 - 3) and sum(held[1]) == 2 * mask.sum()
    assert best_index(axial, held) == 21
    assert best_index(axial, nothing, [Box((0, 0, 4), (9, 9, 7))]) == 5
    assert best_index(axial, nothing) == 14
    assert strip(axial, held, 6) == (20, 21, 22)
    assert strip(axial, nothing, 4) == (0, 9, 18, 27)


def test_slices_of_unknown_orientation_are_displayed_as_stored():
    array = np.arange(24 * 30 * 5).reshape(24, 30, 5)
    (plane,) = planes(Image(array[None], header=Header(spacing_known=False, format="HDF5")))
    np.testing.assert_array_equal(plane.at(3).cut(array), array[:, :, 3])
    assert plane.edges == ("", "", "", "")
    (plane,) = planes(Image(array[None], header=Header(orientation_known=False, format="NIfTI")))
    np.testing.assert_array_equal(plane.at(3).cut(array), array[:, ::-1, 3].T)
    (plane,) = planes(Image(array[None], header=Header(orientation_known=False, format="NRRD")))
    np.testing.assert_array_equal(plane.at(3).cut(array), array[:, :, 3].T)
