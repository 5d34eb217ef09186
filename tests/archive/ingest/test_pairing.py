"""A mask belongs to one image with certainty, or is left out with its reason."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from casewise.archive import Archive
from casewise.archive.ingest.layouts.matching import Match, pair
from casewise.archive.ingest.report import ImportReport
from casewise.formats import read, write_mask
from tests.formats.synthetic import Plan, series
from tests.image_trees import mask, picture, volume


def imported(folder: Path, archive: Path, **options: object) -> tuple[dict[str, set[str]], ImportReport]:
    """Names of the masks of each image (by its path below ``folder``), each mask being its own file's."""
    with Archive.open(archive, create=True) as opened:
        report = opened.import_paths([folder], **options)
        named = {}
        for case in opened.cases():
            named[str(Path(case.name).relative_to(folder))] = set(case.load_masks)
            for label in opened.labels(case.key):
                case.load_masks[str(label["name"])]()
    return named, report


def left_out(report: ImportReport) -> set[str]:
    return {Path(one.path).name for one in report.left_out}


# What a mask called so belongs to, among images called so.
PAIRS = {
    "cjk": (["患者丙_mask.png"], ["患者甲.png", "患者乙.png", "患者丙.png"], {"患者丙_mask.png": ("患者丙.png", None)}),
    "cyrillic": (["Иванов_маска.png"], ["Иванов.png", "Иванова.png"], {"Иванов_маска.png": ("Иванов.png", None)}),
    "arabic and hindi": (
        ["مريض١_mask.png", "हिन्दी_mask.png"],
        ["مريض١.png", "مريض٢.png", "हिन्दी.png", "हन्द.png"],
        {"مريض١_mask.png": ("مريض١.png", None), "हिन्दी_mask.png": ("हिन्दी.png", None)},
    ),
    "macOS": (
        [unicodedata.normalize("NFD", "Müller_mask.png")],
        ["Muller.png", "Müller.png"],
        {unicodedata.normalize("NFD", "Müller_mask.png"): ("Müller.png", None)},
    ),
    "plus and minus": (
        ["T+_mask.png", "T-_mask.png", "T_mask.png"],
        ["T+.png", "T.png"],
        {"T+_mask.png": ("T+.png", None), "T-_mask.png": None, "T_mask.png": ("T.png", None)},
    ),
    "numbers are whole": (
        ["IMG_1_mask.png", "IMG_10_mask.png", "IMG_01_mask.png", "img_1_mask.png"],
        ["IMG_1.png", "IMG_2.png"],
        {"IMG_1_mask.png": ("IMG_1.png", None), "IMG_10_mask.png": None, "IMG_01_mask.png": None, "img_1_mask.png": None},
    ),
    "missing": (
        ["anna_mask.png", "berta_mask.png", "anna_maria_mask.png", "annabel_mask.png"],
        ["anna.png", "carla.png"],
        {"anna_mask.png": ("anna.png", None), "berta_mask.png": None, "anna_maria_mask.png": None, "annabel_mask.png": None},
    ),
    "prefix, middle, instead of": (
        ["mask_7.png", "gt-b.png", "img_seg_3.png", "Cmask.png"],
        ["image_7.png", "b.png", "img_3.png", "c.png"],
        {"mask_7.png": ("image_7.png", None), "gt-b.png": ("b.png", None), "img_seg_3.png": ("img_3.png", None)},
    ),
    "structures": (
        ["case0_左肺_mask.png", "case0_right ventricle_mask.png", "case0_GT_W.png", "case0_vertebra_L5_seg.png"],
        ["case0.png"],
        {
            "case0_左肺_mask.png": ("case0.png", "左肺"),
            "case0_right ventricle_mask.png": ("case0.png", "right ventricle"),
            "case0_vertebra_L5_seg.png": ("case0.png", "vertebra_L5"),
        },
    ),
    "a structure that nobody knows, for two images": (
        ["a1_zyx_mask.png", "a2_zyx_mask.png", "a3_wvu_mask.png"],
        ["a1.png", "a2.png", "a3.png"],
        {"a1_zyx_mask.png": ("a1.png", "zyx"), "a2_zyx_mask.png": ("a2.png", "zyx"), "a3_wvu_mask.png": None},
    ),
    "left and right": (
        ["x_left_mask.png", "x_right_mask.png", "y_left_mask.png"],
        ["x.png", "y.png"],
        {"x_left_mask.png": ("x.png", "left"), "x_right_mask.png": ("x.png", "right"), "y_left_mask.png": ("y.png", "left")},
    ),
    "a view is another image": (["p1_left_mask.png"], ["p1.png"], {"p1_left_mask.png": None}),
    "counted": (
        ["benign (1)_mask.png", "benign (1)_mask_1.png", "benign (2)_mask_1.png"],
        ["benign (1).png", "benign (2).png"],
        {
            "benign (1)_mask.png": ("benign (1).png", None),
            "benign (1)_mask_1.png": ("benign (1).png", "mask_1"),
            "benign (2)_mask_1.png": None,
        },
    ),
    "two images of one name": (["a_mask.png"], ["a.png", "a.jpg"], {"a_mask.png": None}),
    "a volume's mask is no picture's": (["a_mask.nii.gz"], ["a.png", "a.nii.gz"], {"a_mask.nii.gz": ("a.nii.gz", None)}),
    "two ways to read it": (["a_left_lung_mask.png"], ["a.png", "a_left.png"], {"a_left_lung_mask.png": None}),
    "the exact name before a structure": (["a_lung_mask.png"], ["a.png", "a_lung.png"], {"a_lung_mask.png": ("a_lung.png", None)}),
    "a sequence's own mask": (
        ["p1_FLAIR_mask.nii.gz", "p1_T2_mask.nii.gz"],
        ["p1_FLAIR.nii.gz", "p1_T1.nii.gz"],
        {"p1_FLAIR_mask.nii.gz": ("p1_FLAIR.nii.gz", None), "p1_T2_mask.nii.gz": None},
    ),
}


@pytest.mark.parametrize("kind", PAIRS)
def test_which_image_a_mask_belongs_to(kind: str) -> None:
    masks, images, right = PAIRS[kind]
    found = pair(masks, images)
    for name, wanted in right.items():
        match = found[name]
        if wanted is None:
            assert isinstance(match, str) and match.endswith("."), (name, match)
        else:
            assert isinstance(match, Match) and match.images == (wanted[0],) and match.structure == wanted[1], (name, match)


def test_a_reason_names_what_was_nearly_meant() -> None:
    found = pair(["SCAN_01_mask.png"], ["scan_1.png"])
    assert "scan_1.png is written otherwise" in str(found["SCAN_01_mask.png"])


def test_a_mask_without_a_sequence_is_of_all_sequences_of_its_examination() -> None:
    found = pair(["p1_seg.nii.gz", "p2_seg.nii.gz"], ["p1_T1.nii.gz", "p1_FLAIR.nii.gz", "p10_T1.nii.gz"])
    assert found["p1_seg.nii.gz"] == Match(("p1_T1.nii.gz", "p1_FLAIR.nii.gz"), None, "seg")
    assert isinstance(found["p2_seg.nii.gz"], str)


def test_pictures_of_several_sequences_do_not_say_where_a_mask_lies() -> None:
    found = pair(["p1_seg.png"], ["p1_T1.png", "p1_FLAIR.png"])
    assert "pictures do not say where they lie" in str(found["p1_seg.png"])


@pytest.mark.parametrize("images", [["FLAIR.nii.gz", "anna.nii.gz"], ["T1_a.nii.gz", "T1_b.nii.gz"], ["anna.nii.gz"]])
def test_a_mask_without_a_name_is_of_one_subjects_folder_alone(images: list[str]) -> None:
    assert isinstance(pair(["gt.nii.gz"], images)["gt.nii.gz"], str)


def test_masks_whose_image_is_missing_are_no_images(tmp_path: Path) -> None:
    data = tmp_path / "d"
    for number, name in enumerate(("scan_1", "scan_3")):
        picture(data / f"{name}.png", number)
    for row, name in enumerate(("scan_1", "scan_2", "scan_3")):
        mask(data / f"{name}_mask.png", (0,) * row + (255,), (16, 16))
    with Archive.open(tmp_path / "archive", create=True) as archive:
        report = archive.import_paths([data])
        found = {Path(case.name).stem: case.load_masks["mask"]() for case in archive.cases()}
        again = archive.import_paths([data])
        assert found.keys() == {"scan_1", "scan_3"}
        assert found["scan_1"][0].all() and found["scan_3"][2].all()
        assert left_out(report) == left_out(again) == {"scan_2_mask.png"}
        picture(data / "scan_2.png", 9)
        # The image comes later: its mask is its own then.
        later = archive.import_paths([data])
        assert (later.added, later.labels, later.failed, later.left_out) == (1, 1, [], [])
    assert report.masks == {"mask": 2} and later.masks == {"mask": 3}


def test_folders_that_hold_masks_alone_make_no_images(tmp_path: Path) -> None:
    picture(tmp_path / "d" / "images" / "a.png", 1)
    mask(tmp_path / "d" / "masks" / "b.png", (255,), (16, 16))
    mask(tmp_path / "d" / "other" / "c_mask.png", (255,), (16, 16))
    named, report = imported(tmp_path / "d", tmp_path / "archive")
    assert named == {"images/a.png": set()}
    assert left_out(report) == {"b.png", "c_mask.png"}


def test_masks_of_several_patients_stay_in_their_folders(tmp_path: Path) -> None:
    data = tmp_path / "d"
    for number in (1, 3):
        picture(data / "images" / f"p{number}" / "x.png", number)
    for number in (1, 2, 3):
        mask(data / "masks" / f"p{number}" / "x.png", (0,) * number + (255,), (16, 16))
    named, report = imported(data, tmp_path / "archive")
    assert named == {"images/p1/x.png": {"mask"}, "images/p3/x.png": {"mask"}}
    assert [Path(one.path).parent.name for one in report.left_out] == ["p2"]


def test_mask_folders_go_with_the_image_folder_of_their_name(tmp_path: Path) -> None:
    data = tmp_path / "d"
    for number, part in enumerate(("train", "test")):
        picture(data / f"{part}_images" / "x.png", number)
        mask(data / f"{part}_masks" / "x.png", (0,) * number + (255,), (16, 16))
    picture(data / "test_images" / "y.png", 5)
    mask(data / "train_masks" / "y.png", (255,), (16, 16))
    named, report = imported(data, tmp_path / "archive")
    assert named == {"train_images/x.png": {"mask"}, "test_images/x.png": {"mask"}, "test_images/y.png": set()}
    assert left_out(report) == {"y.png"}


def test_a_structures_folder_keeps_its_name(tmp_path: Path) -> None:
    data = tmp_path / "d"
    picture(data / "images" / "a.png", 1)
    for folder in ("masks/right ventricle", "masks/左肺", "masks/GT_W", "Left Lung masks"):
        mask(data / folder / "a.png", (255,), (16, 16))
    named, report = imported(data, tmp_path / "archive")
    assert named == {"images/a.png": {"right ventricle", "左肺", "GT_W", "Left Lung"}}
    assert report.failed == []


def test_one_structure_in_several_spellings_is_one(tmp_path: Path) -> None:
    for number, name in enumerate(("Right Ventricle", "right_ventricle", "rightventricle")):
        picture(tmp_path / "d" / f"c{number}.png", number)
        mask(tmp_path / "d" / f"c{number}_{name}_mask.png", (255,), (16, 16))
    with Archive.open(tmp_path / "archive", create=True) as archive:
        report = archive.import_paths([tmp_path / "d"])
        assert len(archive.cases(["RIGHT ventricle"])) == 3
        assert list(report.masks.values()) == [3]
        assert archive.cases()[0].load_masks["right ventricle"]()[0].all()


def test_two_masks_of_one_structure_are_neithers(tmp_path: Path) -> None:
    picture(tmp_path / "d" / "a.png", 1)
    mask(tmp_path / "d" / "a_heart_mask.png", (255,), (16, 16))
    mask(tmp_path / "d" / "a_Heart_mask.png", (0, 255), (16, 16))
    mask(tmp_path / "d" / "a_mask.png", (255,), (16, 16))
    mask(tmp_path / "d" / "a_seg.png", (255,), (16, 16))
    named, report = imported(tmp_path / "d", tmp_path / "archive")
    assert named == {"a.png": {"mask", "seg"}}
    assert left_out(report) == {"a_heart_mask.png", "a_Heart_mask.png"}


def test_another_mask_from_elsewhere_does_not_become_a_second(tmp_path: Path) -> None:
    for folder, row in (("one", 0), ("two", 3)):
        picture(tmp_path / folder / "a.png", 1)
        mask(tmp_path / folder / "a_heart_mask.png", (0,) * row + (255,), (16, 16))
    with Archive.open(tmp_path / "archive", create=True) as archive:
        archive.import_paths([tmp_path / "one"])
        report = archive.import_paths([tmp_path / "two"])
        (case,) = archive.cases()
        assert set(case.load_masks) == {"heart"} and case.load_masks["heart"]()[0].all()
    assert [Path(one.path).name for one in report.failed] == ["a_heart_mask.png"]
    assert "one" in report.failed[0].reason


def test_a_mask_in_the_folder_of_one_dicom_series_is_that_series(tmp_path: Path) -> None:
    data = tmp_path / "d"
    for folder, uids in (("anna", ("1.2.3",)), ("both", ("1.2.4", "1.2.5"))):
        for number, uid in enumerate(uids):
            series(data / folder, Plan(origin=(0, 0, 100.0 * len(uids))), offset=50 * number, SeriesInstanceUID=uid)
        image = read(data / folder, uids[0])
        write_mask(data / folder / f"{folder}_liver_mask.nii.gz", np.ones(image.spatial_shape, bool), image)
    with Archive.open(tmp_path / "archive", create=True) as archive:
        report = archive.import_paths([data])
        named = {Path(case.name).name: set(case.load_masks) for case in archive.cases()}
    assert named["anna"] == {"liver"} and named["both"] == set()
    (refused,) = report.failed
    assert Path(refused.path).name == "both_liver_mask.nii.gz" and "several DICOM series" in refused.reason


def test_pages_of_a_tiff_have_masks_of_their_own(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "d").mkdir()
    tifffile.imwrite(tmp_path / "d" / "a.tif", rng.integers(0, 255, (3, 16, 16)).astype(np.uint8), photometric="minisblack")
    masks = np.zeros((3, 16, 16), np.uint8)
    for page in range(3):
        masks[page, page] = 255
    tifffile.imwrite(tmp_path / "d" / "a_mask.tif", masks, photometric="minisblack")
    tifffile.imwrite(tmp_path / "d" / "b.tif", rng.integers(0, 255, (3, 16, 16)).astype(np.uint8), photometric="minisblack")
    Pillow.fromarray(masks[0]).save(tmp_path / "d" / "b_mask.tif")
    with Archive.open(tmp_path / "archive", create=True) as archive:
        report = archive.import_paths([tmp_path / "d"])
        cases = [case for case in archive.cases() if Path(case.name).name == "a.tif"]
        assert [np.flatnonzero(case.load_masks["mask"]().any(axis=1)).tolist() for case in cases] == [[0], [1], [2]]
        assert all(not case.load_masks for case in archive.cases() if Path(case.name).name == "b.tif")
    assert [Path(one.path).name for one in report.failed] == ["b_mask.tif"]


def test_labels_in_an_hdf5_file_go_with_the_image_of_their_name(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "d" / "two.h5", "w") as file:
        for number in (1, 2):
            label = np.zeros((3, 8, 9), np.uint8)
            label[number] = 1
            file[f"image_{number}"] = rng.random((3, 8, 9), np.float32)
            file[f"label_{number}"] = label
        file["label_3"] = label
    with Archive.open(tmp_path / "archive", create=True) as archive:
        report = archive.import_paths([tmp_path / "d"])
        rows = [np.flatnonzero(case.load_masks["label_1"]().any(axis=(0, 1))).tolist() for case in archive.cases()]
    assert rows == [[1], [2]]
    assert len(report.failed) == 1 and "label_3" in report.failed[0].reason


@pytest.mark.parametrize("second", ["sub-01", "sub-02"])
def test_a_bids_mask_that_names_no_subject_is_of_one_alone(tmp_path: Path, second: str) -> None:
    data = tmp_path / "bids"
    volume(data / "sub-01" / "anat" / "sub-01_T1w.nii.gz", 1)
    volume(data / second / "anat" / f"{second}_T2w.nii.gz", 2)
    mask(data / "derivatives" / "x" / "label-lesion_mask.nii.gz", (1,))
    named, report = imported(data, tmp_path / "archive")
    one_person = second == "sub-01"
    assert list(named.values()) == [{"lesion"} if one_person else set()] * 2
    assert left_out(report) == (set() if one_person else {"label-lesion_mask.nii.gz"})
    assert one_person or "says no subject" in report.left_out[0].reason


def test_bids_masks_go_by_every_part_of_the_name(tmp_path: Path) -> None:
    data = tmp_path / "bids"
    for number, run in enumerate((1, 2)):
        volume(data / "sub-01" / "anat" / f"sub-01_run-{run}_T1w.nii.gz", number)
    folder = data / "derivatives" / "x" / "sub-01" / "anat"
    mask(folder / "sub-01_run-2_label-lesion_mask.nii.gz", (1,))
    mask(folder / "sub-01_label-edema_mask.nii.gz", (1,))
    mask(folder / "sub-02_run-1_label-lesion_mask.nii.gz", (1,))
    (data / "dataset_description.json").write_text("{}")
    named, report = imported(data, tmp_path / "archive")
    assert named == {"sub-01/anat/sub-01_run-1_T1w.nii.gz": set(), "sub-01/anat/sub-01_run-2_T1w.nii.gz": {"lesion"}}
    assert left_out(report) == {"sub-01_label-edema_mask.nii.gz", "sub-02_run-1_label-lesion_mask.nii.gz"}


def test_nnunet_folders_without_their_description(tmp_path: Path) -> None:
    volume(tmp_path / "d" / "imagesTr" / "case_1_0000.nii.gz", 1)
    for name in ("case_1", "case_10"):
        mask(tmp_path / "d" / "labelsTr" / f"{name}.nii.gz", (1,))
    named, report = imported(tmp_path / "d", tmp_path / "archive")
    assert named == {"imagesTr/case_1_0000.nii.gz": {"label_1"}}
    assert left_out(report) == {"case_10.nii.gz"}
