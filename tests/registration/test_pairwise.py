"""Registration: what was moved comes back, what is not alike is not believed, and a seed gives the same result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from casewise import formats
from casewise.errors import CasewiseError, UsageError
from casewise.image import Image
from casewise.registration.pairwise import Registration, register, resampled, to_itk
from tests.examination.phantom import VOXEL, distance, head, motion

OPEN_MS = "open-ms/patient07"


@pytest.mark.parametrize(("kind", "degrees", "mm"), [("T2", 15, 15), ("FLAIR", 8, 12), ("ADC", 0, 15)])
def test_a_moved_sequence_comes_back_within_a_voxel(kind: str, degrees: float, mm: float) -> None:
    fixed = head("T1 post")
    moved = motion(degrees, mm, seed=int(degrees + mm))
    found = register(head(kind, moved), fixed)
    assert found.used
    assert distance(found.transform, moved, fixed) < VOXEL
    assert found.after > found.before
    assert found.doubt(kind, "T1 post") == ""


def test_what_lies_right_stays_exactly_where_the_file_states() -> None:
    fixed = head("T1")
    found = register(head("T2"), fixed)
    assert not found.used
    assert found.moved == 0
    assert found.turned == 0
    assert distance(found.transform, np.eye(4), fixed) < 1e-6


def test_thick_slices_of_part_of_the_head_come_back() -> None:
    fixed = head("T1")
    moved = motion(10, 8, seed=3)
    slab = head("T2", moved, shape=(80, 90, 12), voxel=(2.0, 2.0, 6.0))
    found = register(slab, fixed)
    assert distance(found.transform, moved, fixed) < VOXEL
    assert found.overlap < 0.8


def test_without_registration_only_the_similarity_is_measured() -> None:
    moved = motion(15, 15)
    found = register(head("T2", moved), head("T1"), "none")
    assert (found.used, found.before) == (False, found.after)
    assert found.doubt("T2", "T1") != ""


def test_noise_is_not_believed_to_be_registered() -> None:
    noise = Image(np.random.default_rng(0).normal(100, 20, (1, 48, 48, 40)).astype(np.float32), head("T1").affine)
    sentence = register(noise, head("T1")).doubt("FLAIR", "T1")
    assert sentence.startswith("FLAIR could not be registered to T1")


def test_the_same_call_gives_the_same_transform() -> None:
    moved = head("FLAIR", motion(9, 9))
    first, second = (register(moved, head("T1"), seed=3).transform.GetParameters() for _ in range(2))
    assert first == second


def test_a_bent_head_fits_better_when_it_may_bend() -> None:
    import SimpleITK

    fixed = head("T1")
    picture = to_itk(head("T2"))
    bend = SimpleITK.BSplineTransformInitializer(picture, [2, 2, 2])
    bend.SetParameters((np.random.default_rng(0).normal(0, 9, len(bend.GetParameters()))).tolist())
    bent = head("T2").with_array(SimpleITK.GetArrayFromImage(SimpleITK.Resample(picture, picture, bend)).transpose(2, 1, 0)[None])
    rigid, deformable = register(bent, fixed), register(bent, fixed, "deformable")
    assert deformable.after > 1.03 * rigid.after
    assert deformable.used


def test_an_image_of_one_value_cannot_be_registered() -> None:
    flat = Image(np.ones((1, 20, 20, 20), np.float32))
    with pytest.raises(CasewiseError, match="one value everywhere"):
        register(flat, head("T1"))


def test_an_unknown_way_is_named_with_those_that_there_are() -> None:
    with pytest.raises(UsageError, match=r"none, rigid, deformable; got 'affine'"):
        register(head("T1"), head("T2"), "affine")


def test_a_picture_is_not_registered() -> None:
    with pytest.raises(CasewiseError, match="Only volumes"):
        to_itk(Image(np.ones((1, 8, 8), np.float32)))


def test_resampling_onto_its_own_grid_changes_nothing() -> None:
    image = head("T2")
    array = resampled(image, image, None)
    import SimpleITK

    assert np.allclose(SimpleITK.GetArrayViewFromImage(array).transpose(2, 1, 0), image.array[0], atol=1e-3)


@pytest.mark.parametrize(("name", "degrees", "mm"), [("T1", 15, 15), ("T2", 7, 11)])
def test_real_brain_sequences_come_back_within_a_voxel(shared_data: Path, name: str, degrees: float, mm: float) -> None:
    folder = shared_data / OPEN_MS
    fixed, moving = (formats.read(next(folder.glob(f"{part}_*.nii.gz"))) for part in ("FLAIR", name))
    centre = np.eye(4)
    centre[:3, 3] = moving.affine[:3] @ [*((n - 1) / 2 for n in moving.spatial_shape), 1]
    moved = centre @ motion(degrees, mm, seed=5) @ np.linalg.inv(centre)
    found: Registration = register(Image(moving.array, moved @ moving.affine, moving.header), fixed)
    assert distance(found.transform, moved, fixed) < 1.0
