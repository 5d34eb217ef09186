"""Left is never right: one film in every pose and format gets the patient's sides or none, and each answer at the same place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from casewise import formats
from casewise.applications.cardiothoracic import CardiothoracicRatio
from casewise.chest import Regions, regions
from casewise.chest.cardiothoracic_ratio import cardiothoracic
from casewise.chest.region import LEFT_LUNG, RIGHT_LUNG, UNSIDED
from casewise.chest.region_pose import Pose
from casewise.chest.region_sides import Evidence, decided
from casewise.chest.upright import upright_turn
from casewise.header import Header
from casewise.image import Image
from casewise.orientation import TURNS, Turn, displayed
from casewise.training.metrics import dice
from tests.formats.synthetic import instance

FOLDER = "bug-reports/chest-orientation"
ITK = ("sitk2d.mha", "sitk2d.nrrd", "sitk2d.nii.gz", "sitk3d1.mha", "xy_lps.nii.gz")
LUNGS = (RIGHT_LUNG, LEFT_LUNG)
# An upright film in LPS: its columns run to the left, its rows to the feet.
LEFT, FEET = np.array([1.0, 0, 0]), np.array([0, 0, -1.0])
LETTER = {0: ("R", "L"), 2: ("F", "H")}


@pytest.fixture(scope="module")
def film(shared_data: Path) -> np.ndarray:
    return formats.read(shared_data / FOLDER / "ref.png").array[0]


@pytest.fixture(scope="module")
def truth(shared_data: Path) -> dict[str, np.ndarray]:
    return {name: formats.read(shared_data / FOLDER / f"truth-{name}.png").array[0] > 127 for name in LUNGS}


def sides_of(found: Regions, truth: dict[str, np.ndarray], place: Callable[[np.ndarray], np.ndarray]) -> str:
    """``right`` or ``unnamed``; fails where a side is swapped. place : from the file's axes to the upright film's."""
    named = [name for name in LUNGS if name in found]
    for name in named:
        other = next(one for one in LUNGS if one != name)
        assert dice(place(found.masks[name]), truth[name]) > 0.9
        assert dice(place(found.masks[name]), truth[other]) < 0.05
    if named:
        return "right"
    assert set(UNSIDED.values()) <= set(found.masks) and "sides_unknown" in found.flags
    assert not any("left" in name or "right" in name for name in found.masks)
    return "unnamed"


@pytest.mark.parametrize("name", ITK)
def test_a_film_as_itk_writes_it_has_its_lungs_on_their_sides(name: str, shared_data: Path, truth: dict[str, np.ndarray]) -> None:
    image = formats.read(shared_data / FOLDER / name)
    found = regions(image)
    for lung in LUNGS:
        other = next(one for one in LUNGS if one != lung)
        assert dice(found.masks[lung].T, truth[lung]) >= 0.95 and dice(found.masks[lung].T, truth[other]) == 0
    assert found.remarks == (), "its rows and columns are merely counted in the format's order"


def test_padding_is_not_the_brightest_part_of_a_film(shared_data: Path, truth: dict[str, np.ndarray]) -> None:
    found = regions(formats.read(shared_data / FOLDER / "m2_pad65535.dcm"))
    assert all(dice(found.masks[lung], truth[lung]) >= 0.9 for lung in LUNGS)


def write(path: Path, kind: str, stored: np.ndarray, turn: Turn, states: bool) -> Path:
    """``stored`` (row, column) is what ``turn`` brings upright; where the file ``states`` it, its header says so."""
    places = turn.back(np.array([[LEFT * c + FEET * r for c in range(2)] for r in range(2)]).transpose(2, 0, 1))
    across, down = places[:, 0, 1] - places[:, 0, 0], places[:, 1, 0] - places[:, 0, 0]
    if kind in ("png", "jpeg", "tiff"):
        Pillow.fromarray(stored).save(path, format=kind.upper())
    elif kind == "dicom":
        letters = [LETTER[int(np.abs(v).argmax())][int(v[np.abs(v).argmax()] > 0)] for v in (across, down)]
        tags = {"PatientOrientation": letters} if states else {}
        instance(path, stored.astype(np.uint16), Modality="DX", BodyPartExamined="CHEST", ViewPosition="PA", **tags)
    elif kind in ("rows-first.nii.gz", "middle.nii.gz", "first.nii.gz"):
        affine = np.diag([-1.0, -1, 1, 1])
        if states:
            affine[:3, :3] = np.diag([-1, -1, 1]) @ np.stack([down, across, np.cross(down, across)], axis=1)
        single = {"rows-first.nii.gz": 2, "middle.nii.gz": 1, "first.nii.gz": 0}[kind]
        order = [*[axis for axis in range(3) if axis != single], single]
        placed = np.eye(4)
        placed[:, order], placed[:, 3] = affine[:, :3], affine[:, 3]
        nib.save(nib.Nifti1Image(np.expand_dims(stored, single), placed if states else np.eye(4)), path)
    else:
        written = SimpleITK.GetImageFromArray(stored[None])
        if states:
            written.SetDirection(np.stack([across, down, np.cross(across, down)], axis=1).ravel().tolist())
        SimpleITK.WriteImage(written, str(path))
    return path


KINDS = ("png", "tiff", "dicom", "a.mha", "a.nrrd", "a.nii.gz", "rows-first.nii.gz", "middle.nii.gz", "first.nii.gz")


@given(turn=st.sampled_from(TURNS), kind=st.sampled_from(KINDS), states=st.booleans(), dark=st.booleans())
@settings(max_examples=14, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_pose_in_every_format_gets_its_sides_or_none(
    turn: Turn, kind: str, states: bool, dark: bool, film: np.ndarray, truth: dict[str, np.ndarray], tmp_path: Path
) -> None:
    stored = np.ascontiguousarray(turn.back(255 - film if dark else film))
    path = write(tmp_path / f"film.{kind}", kind, stored, turn, states)
    image = formats.read(path)
    to_rows = (lambda plane: plane.T) if kind in ("a.mha", "a.nrrd", "a.nii.gz") else (lambda plane: plane)
    found = regions(image)
    reported = sides_of(found, truth, lambda mask: turn.upright(to_rows(mask)))
    columns_first = kind not in ("png", "tiff", "dicom")  # such a file is displayed transposed
    mirrored_as_displayed = turn == Turn(mirrored=True) or (columns_first and turn == Turn(3))
    if states and kind not in ("png", "tiff"):
        assert reported == "right", "the file states it"
    assert reported == "right" or mirrored_as_displayed
    assert cardiothoracic(found).ratio == pytest.approx(0.45, abs=0.12)


def test_a_mirrored_film_gets_no_sides_and_says_why(film: np.ndarray) -> None:
    found = regions(Image(film[None, :, ::-1].copy(), header=Header(format="PNG")))
    assert {"sides_unknown", "heart_on_right"} <= set(found.flags) and not found.sides_known
    (ratio,) = CardiothoracicRatio().analyze(Image(film[None, :, ::-1].copy(), header=Header(format="PNG")))
    assert 0.3 < ratio.measures["cardiothoracic_ratio"] < 0.6
    assert not any("right" in name or "left" in name for name in ratio.measures)


def test_a_heart_on_the_side_that_the_file_does_not_state_is_said(film: np.ndarray) -> None:
    found = regions(Image(film[None, :, ::-1].copy(), header=Header(directions=("L", "F"))))
    assert {"sides_unknown", "heart_on_right"} <= set(found.flags) and not found.sides_known


def test_a_film_that_is_its_own_mirror_image_gets_no_sides(film: np.ndarray) -> None:
    even = ((film.astype(int) + film[:, ::-1]) // 2).astype(np.uint8)
    assert not regions(Image(even[None])).sides_known
    assert regions(Image(even[None], header=Header(directions=("L", "F")))).sides_known
    assert regions(Image(even[None], header=Header(directions=("R", "F")))).pose.mirrored


SCORES = st.floats(-4, 4)


@given(features=SCORES, outlines=SCORES, turn=st.sampled_from(TURNS), columns_first=st.booleans(), reported=st.booleans())
def test_sides_are_named_only_where_two_agree_or_the_picture_shows_them_beyond_doubt(
    features: float, outlines: float, turn: Turn, columns_first: bool, reported: bool
) -> None:
    as_displayed, pose = Evidence(features, outlines), Pose.of(turn)
    header: dict[str, object] = {"format": "NRRD" if columns_first else "PNG"}
    image = Image(np.zeros((1, 8, 8)), header=header | ({"directions": ("R", "F")} if reported else {}))
    sides = decided(image, pose, as_displayed)
    again = decided(image, pose.facing(), as_displayed.reversed())
    assert (again.known, again.stated) == (sides.known, sides.stated), "which of the two was looked at first does not matter"
    assert again.pose == sides.pose or not as_displayed.score
    assert sides.known != ("sides_unknown" in [remark.flag for remark in sides.remarks])
    assert all(len(remark.sentence) <= 200 for remark in sides.remarks), "a longer note would lose its end, which says what to do"
    assert sides.pose in (pose, pose.facing())
    favour = as_displayed if sides.pose == pose else as_displayed.reversed()
    if sides.known and not sides.stated:
        assert favour.score > 0 and (favour.beyond_doubt or favour.agrees)
    if sides.stated:
        assert sides.pose.turn == Turn(mirrored=True)
        assert sides.known != favour.reversed().beyond_doubt


def test_a_film_lies_upright_before_it_is_compared(film: np.ndarray) -> None:
    for turn in (Turn(), Turn(2), Turn(1, mirrored=True)):
        turned = Image(turn.back(film)[None].copy(), header=Header(format="NIfTI"))
        assert np.array_equal(upright_turn(turned).upright(turned.array[0]), film)
    assert upright_turn(Image(np.zeros((1, 8, 9, 5)))) == Turn()
    noise = Image(np.random.default_rng(0).integers(0, 255, (1, 64, 80)), header=Header(format="NIfTI"))
    assert upright_turn(noise) == displayed(noise)
