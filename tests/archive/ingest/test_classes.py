"""Which folders are categories: those of classes, never those of people."""

from __future__ import annotations

from pathlib import Path

import pytest

from casewise.archive.ingest.layouts.tree import File, Folder
from casewise.archive.ingest.planning import plan


def tree(files: dict[str, list[str]], root: str = "/study") -> Folder:
    """A folder of files that need not be there."""
    top = Folder(Path(root))
    for folder, names in files.items():
        here = top
        for part in Path(folder).parts:
            here = here.folders.setdefault(part, Folder(here.path / part))
        here.files |= {name: File(1, 1) for name in names}
    return top


def categories(files: dict[str, list[str]]) -> set[str]:
    return {entry.category for entry in plan([tree(files)]).entries.values() if entry.category is not None}


def many(folders: list[str], each: int, suffix: str = ".png", own_names: bool = True) -> dict[str, list[str]]:
    return {
        folder: [f"{f'{place}_' if own_names else ''}{number}{suffix}" for number in range(each)]
        for place, folder in enumerate(folders)
    }


PEOPLE = [
    ["Smith_J_1", "Smith_J_2", "Smith_J_3"],
    ["Doe, Jane", "Roe, Rita"],
    ["DOE^JANE", "ROE^RITA"],
    ["Anna Maria", "Carla Berta"],
    ["anna", "berta", "carla"],
    ["Müller_Jürgen_1961", "Meier_Anna_1970"],
    ["p001", "p002", "p003"],
    ["1", "2", "3"],
    ["患者甲", "患者乙"],
    ["patient_a", "patient_b"],
]
CLASSES = [
    ["benign", "malignant", "normal"],
    ["AbdomenCT", "BreastMRI", "CXR", "ChestCT", "Hand", "HeadCT"],
    ["glioma_tumor", "meningioma_tumor", "no_tumor", "pituitary_tumor"],
    ["grade1", "grade2", "grade3"],
    ["Viral Pneumonia", "COVID", "Lung_Opacity", "Normal"],
    ["0_NORMAL", "1_PNEUMONIA"],
    ["CT-0", "CT-1", "CT-2"],
    ["正常", "肺炎"],
    ["yes", "no"],
]


@pytest.mark.parametrize("names", PEOPLE, ids=lambda names: names[0])
@pytest.mark.parametrize("each", [1, 2, 4])
def test_folders_of_people_are_no_categories(names: list[str], each: int) -> None:
    assert categories(many(names, each)) == set()
    assert categories(many(names, each, ".dcm")) == set()
    found = plan([tree(many(names, each))])
    assert {entry.site for entry in found.guesses.values()} == {"study"}
    assert not set(names) & {str(entry.site) for entry in found.guesses.values()}


@pytest.mark.parametrize("names", PEOPLE[:7], ids=lambda names: names[0])
def test_nor_are_folders_of_people_with_many_images(names: list[str]) -> None:
    if not names[0].islower() or any(letter.isdecimal() for letter in names[0]):
        assert categories(many(names, 30)) == set()
    assert categories(many(names, 30, own_names=False)) == set()


@pytest.mark.parametrize("names", CLASSES, ids=lambda names: names[0])
def test_folders_of_classes_are_categories(names: list[str]) -> None:
    assert categories(many(names, 1)) == set(names)
    assert categories(many(names, 1, own_names=False)) == set(names)


def test_classes_that_no_list_knows() -> None:
    assert categories(many(["cat", "dog"], 10)) == {"cat", "dog"}
    assert categories(many(["train/cat", "train/dog", "test/cat", "test/dog"], 1)) == {"cat", "dog"}
    assert categories(many(["0", "1", "2"], 10)) == {"0", "1", "2"}
    assert categories(many(["train/Smith_J_1", "train/Smith_J_2", "test/Smith_J_1", "test/Smith_J_2"], 1)) == set()


def test_folders_that_are_not_taken_are_said_to_be_so() -> None:
    notes = plan([tree(many(["anna", "berta"], 2))]).notes
    assert list(notes) == [Path("/study")] and "manifest" in notes[Path("/study")]
    assert "anna" not in str(notes)


def test_patients_folders_are_no_sites() -> None:
    files = {f"{patient}/{folder}": ["a.png"] for patient in ("Smith_J_1", "Smith_J_2") for folder in ("images", "masks")}
    assert {entry.site for entry in plan([tree(files)]).guesses.values()} == {"study"}
