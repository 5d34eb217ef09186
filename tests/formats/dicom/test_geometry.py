"""Every voxel of a DICOM series lies where its header says, whatever the orientation and the order of the files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from casewise.errors import UnreadableImageError
from casewise.formats import Found, read, scan
from tests.formats.synthetic import (
    COLUMNS,
    ROWS,
    SLICES,
    Plan,
    assert_every_voxel_lies_where_planned,
    enhanced,
    instance,
    numbers,
    pixels,
    series,
)

OBLIQUE = Rotation.from_euler("xyz", [17, -28, 41], degrees=True).as_matrix()
PLANS = {
    "axial": Plan(),
    "sagittal": Plan((0, 1, 0), (0, 0, -1)),
    "coronal": Plan((1, 0, 0), (0, 0, -1)),
    "feet first": Plan((-1, 0, 0), (0, 1, 0)),
    "negated column": Plan((1, 0, 0), (0, -1, 0)),
    "both negated": Plan((-1, 0, 0), (0, -1, 0)),
    "transposed": Plan((0, 1, 0), (1, 0, 0)),
    "written downwards": Plan(step=(0, 0, -2.5)),
    "oblique": Plan(OBLIQUE[0], OBLIQUE[1]),
    "oblique, negated": Plan(-OBLIQUE[2], OBLIQUE[0], origin=(101.25, -87.5, 3.125)),
    "thin": Plan(spacing=(0.3, 0.31), gap=0.4),
}


@pytest.mark.parametrize("name", PLANS)
def test_a_series_lies_where_its_header_says(tmp_path: Path, name: str) -> None:
    plan = PLANS[name]
    series(tmp_path, plan)
    image = read(tmp_path)
    assert image.array.shape == (1, ROWS, COLUMNS, SLICES)
    assert image.spacing == pytest.approx((*plan.spacing, np.linalg.norm(plan.step)))
    assert image.header.spacing_known is True
    assert_every_voxel_lies_where_planned(image, plan)


@pytest.mark.parametrize("name", PLANS)
def test_a_peer_puts_the_same_values_at_the_same_places(tmp_path: Path, name: str) -> None:
    series(tmp_path, PLANS[name])
    image = read(tmp_path)
    peer = SimpleITK.ReadImage(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path)))
    theirs = SimpleITK.GetArrayFromImage(peer)
    places = {int(theirs[k, j, i]): peer.TransformIndexToPhysicalPoint((i, j, k)) for k, j, i in np.ndindex(theirs.shape)}
    for index in np.ndindex(image.spatial_shape):
        x, y, z = places[int(image.array[(0, *index)])]
        np.testing.assert_allclose((image.affine @ [*index, 1])[:3], (-x, -y, z), atol=1e-3)


@settings(max_examples=10, deadline=None)
@given(
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    origin=st.tuples(*[st.floats(-500, 500)] * 3),
    spacing=st.tuples(st.floats(0.1, 5), st.floats(0.1, 5)),
    gap=st.floats(0.3, 10),
)
def test_any_rotation(tmp_path_factory: pytest.TempPathFactory, angles, origin, spacing, gap) -> None:
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    plan = Plan(turn[0], turn[1], origin=origin, spacing=spacing, gap=gap)
    folder = tmp_path_factory.mktemp("turned")
    series(folder, plan, range(3))
    assert_every_voxel_lies_where_planned(read(folder), plan, tolerance=1e-3)


def test_a_tilted_gantry_keeps_its_true_positions(tmp_path: Path) -> None:
    plan = Plan(step=(0.0, 0.8, 2.5))
    series(tmp_path, plan)
    image = read(tmp_path)
    assert image.header.sheared is True
    assert_every_voxel_lies_where_planned(image, plan)


@pytest.mark.parametrize("name", ["axial", "sagittal", "oblique", "oblique, negated"])
def test_a_multi_frame_file_lies_where_its_groups_say(tmp_path: Path, name: str) -> None:
    plan = PLANS[name]
    image = read(enhanced(tmp_path / "multi.dcm", plan, [3, 0, 2, 4, 1]))
    assert image.array.shape == (1, ROWS, COLUMNS, SLICES)
    assert image.array.min() == -100
    assert_every_voxel_lies_where_planned(image, plan, shift=100)


def test_one_frame_of_many_keeps_its_own_place(tmp_path: Path) -> None:
    plan = PLANS["oblique"]
    path = enhanced(tmp_path / "multi.dcm", plan, [3, 0, 2, 4, 1])
    image = read(path, "frame=2")
    assert image.array.shape == (1, ROWS, COLUMNS)
    assert image.array[0, 0, 0] == 2 * 256 - 100
    assert_every_voxel_lies_where_planned(image, plan, shift=100)
    with pytest.raises(UnreadableImageError, match='"frame=0" to "frame=4"'):
        read(path, "frame=5")


def test_stacks_of_a_multi_frame_file_are_kept_apart(tmp_path: Path) -> None:
    path = enhanced(tmp_path / "multi.dcm", PLANS["axial"], [0, 1, 2], times=2)
    with pytest.raises(UnreadableImageError, match=r'2 stacks.*member="stack=0" to member="stack=1"'):
        read(path)
    assert [(r.path, r.member) for r in scan(tmp_path) if isinstance(r, Found)] == [(path, "stack=0"), (path, "stack=1")]
    first, second = read(path, "stack=0"), read(path, "stack=1")
    assert first.array.shape == second.array.shape == (1, ROWS, COLUMNS, 3)
    assert (second.array.astype(int) - first.array == 4096).all()
    assert_every_voxel_lies_where_planned(second, PLANS["axial"], shift=100)


def test_frames_at_one_place_are_a_loop(tmp_path: Path) -> None:
    path = enhanced(tmp_path / "loop.dcm", PLANS["axial"], [0], times=4)
    image = read(path)
    np.testing.assert_array_equal(read(tmp_path).array, image.array)
    (result,) = scan(tmp_path)
    assert isinstance(result, Found)
    assert (result.path, result.member) == (path, None)
    assert image.array.shape == (1, ROWS, COLUMNS, 4)
    assert image.header.spacing_known is False
    assert "frames" in str(image.header.axes_note)


def test_frames_without_a_place_are_a_loop(tmp_path: Path) -> None:
    frames = np.stack([pixels(k) for k in range(3)])
    path = instance(tmp_path / "cine.dcm", frames, NumberOfFrames=3, Modality="US")
    image = read(path)
    assert image.array.shape == (1, ROWS, COLUMNS, 3)
    assert image.header.spacing_known is False
    np.testing.assert_array_equal(read(path, "frame=1").array[0], pixels(1))


def test_a_dose_grid_follows_its_offsets(tmp_path: Path) -> None:
    plan = PLANS["sagittal"]
    about = {
        "ImagePositionPatient": numbers(plan.position(0)),
        "ImageOrientationPatient": numbers([*plan.right, *plan.down]),
        "PixelSpacing": numbers(plan.spacing),
        "GridFrameOffsetVector": numbers([0, 2.5, 5.0]),
        "NumberOfFrames": 3,
    }
    path = instance(tmp_path / "dose.dcm", np.stack([pixels(k) for k in range(3)]), **about)
    assert_every_voxel_lies_where_planned(read(path), plan)


def test_a_missing_group_is_refused(tmp_path: Path) -> None:
    path = enhanced(tmp_path / "multi.dcm", PLANS["axial"], [0, 1, 2])
    import pydicom

    dataset = pydicom.dcmread(path)
    del dataset.PerFrameFunctionalGroupsSequence[1]
    dataset.save_as(path)
    with pytest.raises(UnreadableImageError, match="claims 3 frames but describes 2"):
        read(path)


@pytest.mark.parametrize("orientation", [[1, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 0], [2, 0, 0, 0, 1, 0]])
def test_an_orientation_that_cannot_be_is_refused(tmp_path: Path, orientation: list[float]) -> None:
    path = instance(
        tmp_path / "one.dcm", pixels(0), ImageOrientationPatient=orientation, ImagePositionPatient=[0, 0, 0], PixelSpacing=[1, 1]
    )
    with pytest.raises(UnreadableImageError, match="perpendicular unit vectors"):
        read(path)


def test_a_radiograph_has_a_spacing_and_no_place(tmp_path: Path) -> None:
    image = read(instance(tmp_path / "dx.dcm", pixels(0), Modality="DX", ImagerPixelSpacing=[0.15, 0.2]))
    assert image.spacing == pytest.approx((0.15, 0.2))
    assert image.header.spacing_at == "detector"
    assert image.header.spacing_known is True
    assert image.header.orientation_known is False
