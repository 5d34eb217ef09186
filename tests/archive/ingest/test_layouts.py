"""What is read from the ways in which people lay out images and labels."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest

from casewise.archive import Archive
from casewise.archive.ingest.layouts.subjects import subjects
from casewise.archive.ingest.report import ImportReport
from casewise.archive.words import structure_of_folder
from tests.image_trees import mask, picture, volume


@pytest.fixture
def imported(tmp_path: Path):
    """Import tmp_path/data; gives the archive's images by file name, their labels by file name, and the report."""

    def run(folder: Path, **options: object) -> tuple[dict, dict[str, set[str]], ImportReport]:
        with Archive.open(tmp_path / "archive", create=True) as archive:
            report = archive.import_paths([folder], **options)
            records = {Path(record.name).name + (f"@{record.key[:0]}"): record for record in archive.images()}
            labels = {name: {str(label["name"]) for label in archive.labels(record.key)} for name, record in records.items()}
        return {name.rstrip("@"): r for name, r in records.items()}, {n.rstrip("@"): v for n, v in labels.items()}, report

    return run


def test_paired_folders_name_the_structure(tmp_path: Path, imported) -> None:
    data = tmp_path / "chest"
    picture(data / "images" / "p01_0.png", 1, 32)
    for folder, size in (("lung_masks", 32), ("masks/left_clavicle", 16)):
        mask(data / folder / "p01_0.png", (255,), (size, size))
    records, labels, report = imported(data)
    assert list(records) == ["p01_0.png"]
    assert labels["p01_0.png"] == {"lung", "left_clavicle"}
    assert records["p01_0.png"].site == "chest"
    assert (report.added, report.labels, report.failed) == (1, 2, [])


def test_a_coarser_mask_comes_on_the_grid_of_its_image(tmp_path: Path) -> None:
    data = tmp_path / "chest"
    picture(data / "images" / "p01.png", 1, 32)
    mask(data / "masks" / "heart" / "p01.png", (255,), (16, 16))
    with Archive.open(tmp_path / "archive", create=True) as archive:
        archive.import_paths([data])
        (case,) = archive.cases(["heart"])
    heart = case.load_masks["heart"]()
    assert heart.shape == (32, 32)
    assert heart[:2].all() and not heart[2:].any()


def test_labels_folder_gives_a_structure_a_value(tmp_path: Path, imported) -> None:
    volume(tmp_path / "hip" / "images" / "h_01.nii.gz", 1)
    mask(tmp_path / "hip" / "labels" / "h_01.nii.gz", (1, 2))
    records, labels, _ = imported(tmp_path / "hip")
    assert list(records) == ["h_01.nii.gz"]
    assert labels["h_01.nii.gz"] == {"label_1", "label_2"}


def test_shades_of_a_resized_mask_are_cut_in_the_middle(tmp_path: Path) -> None:
    picture(tmp_path / "d" / "images" / "a.png", 1)
    from PIL import Image as Pillow

    drawn = np.zeros((8, 8), np.uint8)
    drawn[2:6, 1:6] = 255
    shades = np.asarray(Pillow.fromarray(drawn).resize((16, 16), Pillow.Resampling.BICUBIC))
    assert len(np.unique(shades)) > 4

    (tmp_path / "d" / "lung_masks").mkdir()
    Pillow.fromarray(shades).save(tmp_path / "d" / "lung_masks" / "a.png")
    with Archive.open(tmp_path / "archive", create=True) as archive:
        archive.import_paths([tmp_path / "d"])
        (case,) = archive.cases(["lung"])
    assert (case.load_masks["lung"]() == (shades > 127)).all()
    assert case.load_masks["lung"]().sum() == 80


def test_a_picture_of_shades_is_no_mask(tmp_path: Path, imported) -> None:
    from PIL import Image as Pillow

    picture(tmp_path / "d" / "images" / "a.png", 1)
    (tmp_path / "d" / "lung_masks").mkdir()
    shades = np.linspace(0, 255, 256).astype(np.uint8).reshape(16, 16)
    Pillow.fromarray(shades).save(tmp_path / "d" / "lung_masks" / "a.png")
    _, labels, report = imported(tmp_path / "d")
    assert labels["a.png"] == set()
    assert "is no mask" in report.failed[0].reason


def test_a_mask_without_its_image_is_named(tmp_path: Path, imported) -> None:
    picture(tmp_path / "d" / "images" / "a.png", 1)
    mask(tmp_path / "d" / "masks" / "a.png", (255,), (16, 16))
    mask(tmp_path / "d" / "masks" / "b.png", (255,), (16, 16))
    records, _, report = imported(tmp_path / "d")
    assert list(records) == ["a.png"]
    assert [Path(refused.path).name for refused in report.failed] == ["b.png"]
    assert "no image of its name" in report.failed[0].reason


def test_masks_beside_images_go_where_the_grid_fits(tmp_path: Path, imported) -> None:
    data = tmp_path / "example"
    volume(data / "example_ct.nii.gz", 1, (8, 8, 9))
    volume(data / "example_ct_sm.nii.gz", 2, (8, 8, 5))
    mask(data / "example_seg.nii.gz", (1, 2), (8, 8, 5))
    mask(data / "example_seg_fast.nii.gz", (1, 2), (8, 8, 5))
    records, labels, report = imported(data)
    assert set(records) == {"example_ct.nii.gz", "example_ct_sm.nii.gz"}
    assert labels["example_ct.nii.gz"] == set()
    assert labels["example_ct_sm.nii.gz"] == {"label_1", "label_2", "fast_1", "fast_2"}
    assert records["example_ct.nii.gz"].modality == "CT"
    assert report.failed == []


def test_a_subjects_mask_goes_to_all_its_sequences(tmp_path: Path, imported) -> None:
    data = tmp_path / "glioma"
    for number, subject in enumerate(("CBICA_ATV_1", "CBICA_ARW_1")):
        volume(data / subject / "FLAIR.nii.gz", 2 * number)
        volume(data / subject / "T1.nii.gz", 2 * number + 1)
        mask(data / subject / "GT_W.nii.gz", (1,))
    with Archive.open(tmp_path / "archive", create=True) as archive:
        archive.import_paths([data])
        records = archive.images()
        assert sorted((r.sequence, r.modality, r.category, r.site) for r in records) == [
            ("FLAIR", "MR", None, "glioma"),
            ("FLAIR", "MR", None, "glioma"),
            ("T1", "MR", None, "glioma"),
            ("T1", "MR", None, "glioma"),
        ]
        assert {r.subject for r in records} == {"glioma/CBICA_ATV_1", "glioma/CBICA_ARW_1"}
        assert all({str(label["name"]) for label in archive.labels(r.key)} == {"GT_W"} for r in records)


def test_a_mask_of_another_grid_is_named(tmp_path: Path, imported) -> None:
    volume(tmp_path / "d" / "brain1_image.nrrd", 1)
    mask(tmp_path / "d" / "brain1_label.nrrd", (1,), (6, 7, 4))
    _, labels, report = imported(tmp_path / "d")
    assert labels == {"brain1_image.nrrd": set()}
    assert [Path(refused.path).name for refused in report.failed] == ["brain1_label.nrrd"]
    again = imported(tmp_path / "d")[2]
    assert again.to_json()["failed"] == report.to_json()["failed"]
    assert (again.added, again.known, again.labels) == (0, 1, 0)


def test_a_masks_name_gives_the_structure(tmp_path: Path, imported) -> None:
    volume(tmp_path / "d" / "case7_T1.nii.gz", 1)
    mask(tmp_path / "d" / "case7_T1_lesion_mask.nii.gz", (1,))
    _, labels, _ = imported(tmp_path / "d")
    assert labels == {"case7_T1.nii.gz": {"lesion"}}


def test_folder_per_class_with_masks_beside(tmp_path: Path, imported) -> None:
    data = tmp_path / "breast"
    for number, name in enumerate(("benign", "malignant")):
        picture(data / name / f"{name} (1).png", 2 * number)
        picture(data / name / f"{name} (2).png", 2 * number + 1)
        mask(data / name / f"{name} (1)_mask.png", (255,), (16, 16))
    records, labels, report = imported(data)
    assert {name: record.category for name, record in records.items()} == {
        "benign (1).png": "benign",
        "benign (2).png": "benign",
        "malignant (1).png": "malignant",
        "malignant (2).png": "malignant",
    }
    assert labels["benign (1).png"] == {"mask"} and labels["benign (2).png"] == set()
    assert {record.subject for record in records.values()} == {None}
    assert report.failed == []


def test_splits_are_no_classes(tmp_path: Path, imported) -> None:
    for number, split in enumerate(("train", "test")):
        for other, name in enumerate(("cat", "dog")):
            picture(tmp_path / "pets" / split / name / f"{split}{name}.png", 2 * number + other)
    records, _, _ = imported(tmp_path / "pets")
    assert {(name, record.category, record.site) for name, record in records.items()} == {
        (f"{split}{name}.png", name, "pets") for split in ("train", "test") for name in ("cat", "dog")
    }


def test_decathlon_channels_and_structures(tmp_path: Path) -> None:
    data = tmp_path / "Task01"
    (data / "imagesTr").mkdir(parents=True)
    voxels = np.random.default_rng(0).integers(0, 99, (5, 6, 4, 2)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), data / "imagesTr" / "BRATS_001.nii.gz")
    mask(data / "labelsTr" / "BRATS_001.nii.gz", (1,), (5, 6, 4))
    about = {
        "modality": {"0": "FLAIR", "1": "T1w"},
        "labels": {"0": "background", "1": "edema", "2": "Enhancing Tumour"},
        "training": [{"image": "./imagesTr/BRATS_001.nii.gz", "label": "./labelsTr/BRATS_001.nii.gz"}],
    }
    (data / "dataset.json").write_text(json.dumps(about))
    with Archive.open(tmp_path / "archive", create=True) as archive:
        archive.import_paths([data])
        cases = archive.cases(["edema", "enhancing_tumour"])
        assert sorted(str(case.content["sequence"]) for case in cases) == ["FLAIR", "T1"]
        for case in cases:
            channel = 0 if case.content["sequence"] == "FLAIR" else 1
            assert (case.image.array[0] == voxels[..., channel]).all()
            assert case.load_masks["edema"]()[0].all()
            # A structure that the data set has and this image has not is an empty mask, not a missing label.
            assert not case.load_masks["enhancing_tumour"]().any()


def test_nnunet_regions_are_unions(tmp_path: Path) -> None:
    data = tmp_path / "Dataset001"
    volume(data / "imagesTr" / "case_7_0000.nii.gz", 1)
    volume(data / "imagesTr" / "case_7_0001.nii.gz", 2)
    mask(data / "labelsTr" / "case_7.nii.gz", (1, 2))
    about = {"channel_names": {"0": "T1", "1": "T2"}, "labels": {"background": 0, "whole tumour": [1, 2], "core": 2}}
    (data / "dataset.json").write_text(json.dumps(about | {"numTraining": 1, "file_ending": ".nii.gz"}))
    with Archive.open(tmp_path / "archive", create=True) as archive:
        archive.import_paths([data])
        cases = archive.cases(["whole_tumour", "core"])
        assert sorted(str(case.content["sequence"]) for case in cases) == ["T1", "T2"]
        assert {case.subject for case in cases} == {"Dataset001/case_7"}
        assert cases[0].load_masks["whole_tumour"]()[:2].all()
        assert not cases[0].load_masks["core"]()[0].any()


def test_bids_subjects_ages_and_derivatives(tmp_path: Path) -> None:
    data = tmp_path / "bids"
    volume(data / "sub-01" / "ses-a" / "anat" / "sub-01_ses-a_T1w.nii.gz", 1)
    volume(data / "sub-02" / "anat" / "sub-02_FLAIR.nii.gz", 2)
    lesions = data / "derivatives" / "lesions" / "sub-01" / "ses-a" / "anat" / "sub-01_ses-a_label-lesion_mask.nii.gz"
    mask(lesions, (1,))
    (data / "dataset_description.json").write_text("{}")
    (data / "participants.tsv").write_text("participant_id\tage\tsex\thandedness\nsub-01\t34\tF\tleft\nsub-02\tn/a\tM\tn/a\n")
    with Archive.open(tmp_path / "archive", create=True) as archive:
        archive.import_paths([data])
        first, second = sorted(archive.cases(), key=lambda case: case.name)
    assert (first.subject, first.content["age"], first.content["sex"]) == ("bids/sub-01", 34, "F")
    assert first.content["handedness"] == "left"
    assert set(first.load_masks) == {"lesion"}
    assert (second.content["sequence"], second.content["sex"], second.load_masks) == ("FLAIR", "M", {})
    assert "age" not in second.content


def test_hdf5_image_label_and_scribble(tmp_path: Path) -> None:
    data = tmp_path / "heart"
    data.mkdir()
    label = np.zeros((3, 8, 9), np.uint8)
    label[0, 0], label[1, 1] = 1, 3
    with h5py.File(data / "patient001_frame01.h5", "w") as file:
        file["image"] = np.random.default_rng(0).random((3, 8, 9), np.float32)
        file["label"] = label
        file["scribble"] = np.full((3, 8, 9), 4, np.uint16)
    shutil.copy(data / "patient001_frame01.h5", data / "patient001_frame09.h5")
    with h5py.File(data / "patient001_frame09.h5", "a") as file:
        file["image"][0, 0, 0] = 7
    with Archive.open(tmp_path / "archive", create=True) as archive:
        archive.import_paths([data])
        cases = archive.cases()
        assert {case.subject for case in cases} == {"heart/patient001"}
        assert [set(case.load_masks) for case in cases] == [{"label_1", "label_3"}] * 2
        assert (cases[0].load_masks["label_3"]() == np.moveaxis(label == 3, 0, -1)).all()
        assert ("scribble", "scribble") in {(label["name"], label["kind"]) for label in archive.labels(cases[0].key)}


def test_a_table_beside_images_tells_age_and_sex_but_no_names(tmp_path: Path) -> None:
    data = tmp_path / "chest"
    picture(data / "images" / "a1.png", 1)
    picture(data / "images" / "a2.png", 2)
    table = "study,age,sex,state,Patient Name\na1.png,80,Male,malignant,Doe^Jane\na2.png,?,female,,Roe^Rita\n"
    (data / "metadata.csv").write_text(table)
    with Archive.open(tmp_path / "archive", create=True) as archive:
        archive.import_paths([data])
        first, second = sorted(archive.images(), key=lambda record: record.name)
    assert (first.age, first.sex, first.content["state"]) == (80, "M", "malignant")
    assert (second.age, second.sex) == (None, "F")
    assert "Doe" not in str(first) and "Roe" not in str(second)


def test_sites_are_the_data_sets_of_a_collection(tmp_path: Path, imported) -> None:
    root = tmp_path / "all"
    picture(root / "chest" / "images" / "c1.png", 1)
    mask(root / "chest" / "masks" / "c1.png", (255,), (16, 16))
    volume(root / "brains" / "subject_1" / "FLAIR.nii.gz", 2)
    volume(root / "brains" / "subject_2" / "FLAIR.nii.gz", 3)
    with Archive.open(tmp_path / "archive", create=True) as archive:
        archive.import_paths([root])
        assert {Path(record.name).parts[-2]: record.site for record in archive.images()} == {
            "images": "chest",
            "subject_1": "brains",
            "subject_2": "brains",
        }
    assert {record.site for record in imported(root, site="Hospital A")[0].values()} == {"chest", "brains"}
    with Archive.open(tmp_path / "other", create=True) as other:
        other.import_paths([root], site="Hospital A")
        assert {record.site for record in other.images()} == {"Hospital A"}


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("patient001_frame01", "patient001"),
        ("MCUCXR_0001_0", "MCUCXR_0001"),
        ("JPCLN012", "JPCLN012"),
        ("sub-01_T1w", "sub-01"),
        ("TCGA_CS_4941_19960909_1", "TCGA_CS_4941"),
        ("001490", None),
        ("image_003", None),
        ("T1", None),
        ("benign (3)", None),
    ],
)
def test_subject_by_name(name: str, subject: str | None) -> None:
    path = Path("/data") / f"{name}.png"
    assert subjects([path], [name], Path("/data")) == {path: subject}


def test_what_all_names_share_tells_nobody_apart() -> None:
    names = [f"BraTS20_Training_{number:03d}_t1" for number in range(5)]
    paths = [Path("/data") / name for name in names]
    found = subjects(paths, names, Path("/data"))
    assert found[paths[3]] == "BraTS20_Training_003"


@pytest.mark.parametrize(
    ("folder", "structure"),
    [("lung_masks", "lung"), ("Lungs masks", "Lung"), ("masks", None), ("labels", None), ("pelvis_seg", "pelvis")],
)
def test_structure_of_a_mask_folder(folder: str, structure: str | None) -> None:
    assert structure_of_folder(folder) == structure
