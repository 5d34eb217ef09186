"""The fifth of the pictures of structures that no training may see."""

from __future__ import annotations

import pytest

from experiments import structures

FOLDERS = pytest.mark.parametrize("folder", structures.FOLDERS)


@FOLDERS
@pytest.mark.shared
def test_every_fifth_image_is_held_back_and_nothing_of_its_patient_is_trained_on(folder: str) -> None:
    found = structures.images(folder)
    trained_on, held_back = structures.split(folder)
    assert [found.index(image) for image in held_back] == list(range(0, len(found), 5))
    assert not {structures.patient(image) for image in trained_on} & {structures.patient(image) for image in held_back}
    assert set(trained_on) <= set(found) and len(trained_on) > len(found) // 2
    assert all(structures.label_of(image).is_file() for image in found)


@pytest.mark.shared
def test_both_eyes_of_a_person_lie_on_one_side() -> None:
    trained_on, held_back = ([image.stem for image in side] for side in structures.split("retina"))
    assert "chase-Image_01L" in held_back and "chase-Image_01R" not in trained_on
    regions = [image.stem for image in structures.split("nuclei-gbm")[0] if image.stem.startswith("TCGA-DB-5270")]
    assert not regions
