"""How a picture lies by what its file states, for every way it can lie in; and that turning it is undone exactly."""

from __future__ import annotations

import itertools
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st

from casewise import formats
from casewise.header import Header
from casewise.image import Image
from casewise.orientation import (
    AXIAL,
    FRONTAL,
    SAGITTAL,
    TURNS,
    Turn,
    directions_of,
    displayed,
    joined,
    size_stated,
    stated,
    turn_to,
)

PICTURE = np.arange(12 * 9, dtype=np.uint8).reshape(12, 9)
RAS = {"R": (1, 0, 0), "L": (-1, 0, 0), "A": (0, 1, 0), "P": (0, -1, 0), "H": (0, 0, 1), "F": (0, 0, -1)}


@given(first=st.sampled_from(TURNS), second=st.sampled_from(TURNS), rows=st.integers(1, 5), columns=st.integers(1, 5))
def test_turns_are_joined_and_undone_exactly(first: Turn, second: Turn, rows: int, columns: int) -> None:
    plane = np.arange(2 * rows * columns).reshape(2, rows, columns)
    both = second.upright(first.upright(plane))
    assert np.array_equal(joined(first, second).upright(plane), both)
    assert np.array_equal(first.back(first.upright(plane)), plane)
    cut = plane.transpose(0, *(axis + 1 for axis in first.axes))
    assert np.array_equal(np.flip(cut, [axis + 1 for axis in (0, 1) if first.flipped[axis]]), first.upright(plane))
    assert len({TURNS.index(joined(turn, second)) for turn in TURNS}) == len(TURNS) == 8


@given(
    turn=st.sampled_from(TURNS),
    standard=st.sampled_from((FRONTAL, AXIAL, SAGITTAL)),
    tilt=st.floats(-20, 20),
    origin=st.tuples(*[st.floats(1, 300)] * 3),
)
def test_an_affine_states_how_a_picture_lies(turn: Turn, standard: tuple[str, str], tilt: float, origin: tuple[float, ...]) -> None:
    """The upright picture's rows and columns run as ``standard`` says; it is stored turned, and a little oblique."""
    right, down = (np.array(RAS[letter], float) for letter in standard)
    places = turn.back(np.array([[right * c + down * r for c in range(2)] for r in range(2)]).transpose(2, 0, 1))
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = places[:, 1, 0] - places[:, 0, 0], places[:, 0, 1] - places[:, 0, 0]
    affine[:3, 2] = np.cross(affine[:3, 0], affine[:3, 1])
    angle = np.radians(tilt)
    oblique = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    affine[:3, :3] = oblique @ affine[:3, :3] * 0.5
    affine[:3, 3] = origin
    image = Image(turn.back(PICTURE)[None], affine)
    assert displayed(image) == turn
    assert stated(image) == (turn if standard == FRONTAL else None)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_pictures_by_itk_count_along_rows_first_and_state_nothing(suffix: str, dimensions: int, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(PICTURE if dimensions == 2 else PICTURE[None]), str(path))
    image = formats.read(path)
    assert image.spatial_shape == (9, 12), "the file's own order"
    assert stated(image) is None and not size_stated(image)
    assert np.array_equal(displayed(image).upright(image.array[0]), PICTURE)
    mask = formats.write_mask(tmp_path / f"m{formats.mask_suffix(image)}", image.array[0] > 50, image)
    original, written = SimpleITK.ReadImage(str(path)), SimpleITK.ReadImage(str(mask))
    assert written.GetSize() == original.GetSize() and written.GetDirection() == original.GetDirection()
    assert np.array_equal(SimpleITK.GetArrayFromImage(written).reshape(PICTURE.shape), PICTURE > 50)


@pytest.mark.parametrize("single", [0, 1, 2])
def test_a_volume_of_one_plane_is_a_picture_and_its_mask_that_volume(single: int, tmp_path: Path) -> None:
    stored = np.expand_dims(PICTURE.T, single)
    affine = np.eye(4)
    affine[:3, 3] = (-4, 7, 9)
    nib.save(nib.Nifti1Image(stored, affine), tmp_path / "a.nii.gz")
    image = formats.read(tmp_path / "a.nii.gz")
    assert np.array_equal(image.array[0], PICTURE.T)
    kept = [axis for axis in range(3) if axis != single]
    assert np.array_equal(image.affine[:, :2], affine[:, kept])
    mask = nib.load(formats.write_mask(tmp_path / "m.nii.gz", image.array[0] > 50, image))
    assert mask.shape == stored.shape and np.array_equal(mask.affine, affine)
    assert np.array_equal(np.asarray(mask.dataobj), stored > 50)
    assert (stated(image) is not None) == (single == 1), "i to the right and k to the head: a coronal plane"


@pytest.mark.parametrize("single", [0, 1, 2])
def test_a_default_affine_states_nothing(single: int, tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.expand_dims(PICTURE.T, single), np.diag([0.14, 0.14, 1, 1])), tmp_path / "a.nii.gz")
    image = formats.read(tmp_path / "a.nii.gz")
    assert directions_of(image) is None and stated(image) is None
    assert np.array_equal(displayed(image).upright(image.array[0]), PICTURE)


@pytest.mark.parametrize(
    ("space", "directions"),
    [
        ("left-posterior-superior", "(1,0,0) (0,0,-1)"),
        ("right-anterior-superior", "(-1,0,0) (0,0,-1)"),
        ("left-anterior-superior", "(0.2,0,0) (0,0,-0.2)"),
    ],
)
def test_a_coronal_picture_in_nrrd_states_its_sides(space: str, directions: str, tmp_path: Path) -> None:
    """Two axes in a space of three, as pynrrd writes a slice."""
    head = (
        f"NRRD0004\ntype: uint8\ndimension: 2\nspace: {space}\nsizes: 9 12\nspace directions: {directions}\nkinds: domain domain\n"
    )
    (tmp_path / "a.nrrd").write_bytes(f"{head}encoding: raw\nspace origin: (0,0,0)\n\n".encode() + PICTURE.tobytes())
    image = formats.read(tmp_path / "a.nrrd")
    turn = stated(image)
    assert turn is not None and np.array_equal(turn.upright(image.array[0]), PICTURE)


def test_dicom_states_directions_and_other_views_stay_as_they_are_stored() -> None:
    for across, down in itertools.permutations("LRAPHF", 2):
        image = Image(PICTURE[None], header=Header(directions=(across, down), format="DICOM"))
        turn = turn_to((across, down), FRONTAL)
        assert stated(image) == turn and displayed(image) == (turn or Turn())
