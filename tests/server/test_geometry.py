"""Planes and windows: letters and flips agree with the affine, whichever way the voxels lie."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from casewise.formats import read, write
from casewise.header import Header
from casewise.image import Image
from casewise.orientation import displayed
from casewise.server.geometry import planes, window
from casewise.server.schemas.cases import Letters, Plane

# Where each letter lies, in RAS.
TOWARDS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "H": (2, 1), "F": (2, -1)}
RADIOLOGICAL = {"axial": ("R", "L", "A", "P"), "coronal": ("R", "L", "H", "F"), "sagittal": ("A", "P", "H", "F")}


def rotation(angles: tuple[float, float, float]) -> np.ndarray:
    a, b, c = angles
    z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    x = np.array([[1, 0, 0], [0, np.cos(c), -np.sin(c)], [0, np.sin(c), np.cos(c)]])
    return z @ y @ x


affines = st.builds(
    lambda angles, order, signs, sizes, origin: _affine(
        rotation(angles)[:, order] * (np.array(signs) * np.array(sizes)), np.array(origin)
    ),
    st.tuples(*(st.floats(-np.pi, np.pi) for _ in range(3))),
    st.sampled_from([list(order) for order in permutations(range(3))]),
    st.tuples(*(st.sampled_from((-1.0, 1.0)) for _ in range(3))),
    st.tuples(*(st.floats(0.2, 8) for _ in range(3))),
    st.tuples(*(st.floats(-200, 200) for _ in range(3))),
)


def _affine(matrix: np.ndarray, origin: np.ndarray) -> np.ndarray:
    made = np.eye(4)
    made[:3, :3], made[:3, 3] = matrix, origin
    return made


def step(affine: np.ndarray, axis: int, flipped: bool) -> np.ndarray:
    """How one goes in the patient, in mm, on a step to the right (or down) on the screen."""
    return affine[:3, axis] * (-1 if flipped else 1)


def check(affine: np.ndarray, plane: Plane) -> None:
    assert plane.letters is not None
    for axis, flipped, letter, other in (
        (plane.x, plane.flip_x, plane.letters.right, plane.letters.left),
        (plane.y, plane.flip_y, plane.letters.bottom, plane.letters.top),
    ):
        (coordinate, sign), (same, opposite) = TOWARDS[letter], TOWARDS[other]
        assert step(affine, axis, flipped)[coordinate] * sign > 0
        assert same == coordinate and opposite == -sign


@given(affines)
@settings(max_examples=300, deadline=None)
def test_on_the_screen_one_walks_where_the_letters_say(affine: np.ndarray) -> None:
    image = Image(np.zeros((1, 4, 5, 6), np.int16), affine)
    found = planes(image)
    assert {plane.name for plane in found} == set(RADIOLOGICAL)
    for plane in found:
        check(affine, plane)
        assert {plane.x, plane.y, plane.through} == {0, 1, 2}
        letters = plane.letters
        assert letters is not None
        assert (letters.left, letters.right, letters.top, letters.bottom) == RADIOLOGICAL[plane.name]
        assert plane.size == (image.spacing[plane.x], image.spacing[plane.y])
        assert plane.through is not None and plane.step == image.spacing[plane.through]
    steps = [round(plane.step or 0, 3) for plane in found]
    assert steps == sorted(steps, reverse=True)  # the finest plane first


def test_the_letters_of_exact_grids_are_those_of_nibabel() -> None:
    from nibabel.orientations import aff2axcodes

    for order, signs in product(permutations(range(3)), product((-1, 1), repeat=3)):
        affine = _affine(np.eye(3)[:, order] * np.array(signs), np.zeros(3))
        codes = [code.replace("S", "H").replace("I", "F") for code in aff2axcodes(affine)]
        for plane in planes(Image(np.zeros((1, 3, 3, 3)), affine)):
            assert plane.letters is not None
            assert codes[plane.x] == (plane.letters.left if plane.flip_x else plane.letters.right)
            assert codes[plane.y] == (plane.letters.top if plane.flip_y else plane.letters.bottom)


def laid(array: np.ndarray, plane: Plane) -> np.ndarray:
    """A picture's array as the page lays it by a plane."""
    screen = array.transpose(plane.y, plane.x)
    return screen[:: -1 if plane.flip_y else 1, :: -1 if plane.flip_x else 1]


@given(
    st.sampled_from(["DICOM", "PNG", "NIfTI", "NRRD", "TIFF"]),
    st.sampled_from([None, *permutations("LRAPHF", 2)]),
    affines,
    st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_a_picture_lies_as_it_is_displayed(kind: str, directions: tuple[str, str] | None, affine: np.ndarray, known: bool) -> None:
    array = np.arange(12).reshape(3, 4)
    header = Header(format=kind, directions=directions if kind == "DICOM" else None, spacing_known=known)
    image = Image(array[None], affine, header)
    (plane,) = planes(image)
    assert (laid(array, plane) == displayed(image).upright(array)).all()
    if directions is None and plane.letters is not None:
        check(affine, plane)
    assert plane.name == "image" and plane.through is None
    assert plane.size == ((image.spacing[plane.x], image.spacing[plane.y]) if known else (1, 1))


@pytest.mark.parametrize(
    ("directions", "letters"), [(("L", "F"), "RLHF"), (("R", "F"), "RLHF"), (("P", "F"), "APHF"), (None, None)]
)
def test_a_films_letters(directions: tuple[str, str] | None, letters: str | None) -> None:
    """A film that is stored mirrored is displayed with the left on the right; a lateral one, no frontal view, as it is stored."""
    header = Header(format="DICOM", directions=directions, modality="CR", orientation_known=directions is not None)
    (plane,) = planes(Image(np.zeros((1, 6, 4), np.uint16), np.eye(4), header))
    expected = None if letters is None else Letters(left=letters[0], right=letters[1], top=letters[2], bottom=letters[3])
    assert plane.letters == expected
    assert plane.flip_x == (directions == ("R", "F"))


def test_a_volume_that_does_not_say_how_it_lies_has_no_letters() -> None:
    header = Header(format="NIfTI", orientation_known=False)
    found = {plane.name: plane for plane in planes(Image(np.zeros((1, 3, 4, 5)), np.diag([1, 1, 2, 1.0]), header))}
    assert list(found) == ["slice", "column", "row"] and all(plane.letters is None for plane in found.values())
    assert (found["slice"].x, found["slice"].y) == (0, 1)
    rows_first = {plane.name: plane for plane in planes(Image(np.zeros((1, 3, 4, 5)), np.eye(4), Header(orientation_known=False)))}
    assert (rows_first["slice"].x, rows_first["slice"].y) == (1, 0)


def test_a_loop_has_frames() -> None:
    header = Header(format="DICOM", third_axis="time", frame_times=(0.0, 30.0, 90.0), orientation_known=False)
    (plane,) = planes(Image(np.zeros((1, 3, 4, 3), np.uint8), np.eye(4), header))
    assert (plane.name, plane.through, plane.step, plane.x, plane.y) == ("frame", 2, 45.0, 1, 0)


@given(arrays(np.float32, (1, 6, 7), elements=st.floats(-1e6, 1e6, width=32)))
@settings(max_examples=100, deadline=None)
def test_a_window_holds_the_most_values(array: np.ndarray) -> None:
    centre, width = window(Image(array))
    assert np.isfinite([centre, width]).all() and width > 0
    assert np.isfinite(window(Image(np.where(array > 0, np.nan, array)))).all()


def test_the_files_own_window_comes_first() -> None:
    assert window(Image(np.zeros((1, 2, 2)), header=Header(window=(40.0, 80.0), modality="CT"))) == (40.0, 80.0)
    assert window(Image(np.zeros((1, 2, 2)), header=Header(modality="CT"))) == (40.0, 400.0)
    assert window(Image(np.zeros((3, 2, 2), np.uint8))) == (127.5, 255.0)


def test_a_picture_written_as_a_volume_of_one_plane_keeps_its_lay(tmp_path: Path) -> None:
    array = np.arange(30, dtype=np.int16).reshape(5, 6)
    affine = _affine(np.array([[0, -1, 0], [-1, 0, 0], [0, 0, 1.0]]), np.array([3.0, 4.0, 5.0]))
    write(tmp_path / "a.nii.gz", Image(array[None], affine))
    image = read(tmp_path / "a.nii.gz")
    (plane,) = planes(image)
    assert (laid(image.array[0], plane) == displayed(image).upright(image.array[0])).all()
