"""What an import makes of mask files: structures by name, doubtful masks refused and named, empty and fitted ones reported."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from PIL import Image as Pillow
from pydicom import dcmread

import casewise
from casewise import formats
from casewise.archive import Archive, ImportReport
from casewise.case import Case
from casewise.cli.import_ import noted
from casewise.errors import CasewiseError
from tests.formats.dicom.test_write_segmentation import PATIENT
from tests.formats.synthetic import Plan, instance, pixels, placed, series
from tests.formats.test_mask_pictures import DISC, SHAPE, labels, palette, saved
from tests.formats.test_masks import IN_PART, OWN, SIZES, nowhere
from tests.formats.test_segmentations import two

RNG = np.random.default_rng(4)


def imported(folder: Path, archive: Path) -> tuple[dict[str, Case], ImportReport]:
    with Archive.open(archive, create=True) as opened:
        report = opened.import_paths([folder])
        return {Path(case.name).name: case for case in opened.cases()}, report


def picture(path: Path, shape: tuple[int, int] = SHAPE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(RNG.integers(0, 255, shape, np.uint8)).save(path)


def masks_of(case: Case) -> dict[str, int]:
    return {name: int(load().sum()) for name, load in case.load_masks.items()}


def test_structures_of_pictures_are_loaded_as_they_are_drawn(tmp_path: Path) -> None:
    data = tmp_path / "d"
    for name in ("soft", "levels", "palette", "colours", "alpha"):
        picture(data / f"{name}.png")
    soft = Pillow.fromarray((DISC * 255).astype(np.uint8)).resize((160, 128), Pillow.Resampling.BILINEAR).reduce(2)
    soft.save(data / "soft_mask.png")
    side = labels(1, 2, 3)
    picture(data / "levels.png", side.shape)
    picture(data / "palette.png", side.shape)
    picture(data / "colours.png", side.shape)
    saved(data / "levels_mask.png", side * 85)
    palette(side, [(0, 0, 0), (200, 0, 0), (0, 200, 0), (0, 0, 200)], data / "palette_mask.png")
    saved(data / "colours_mask.png", np.array([(0, 0, 0), (200, 0, 0), (0, 200, 0), (0, 0, 200)], np.uint8)[side])
    saved(data / "alpha_mask.png", np.dstack([np.zeros((*SHAPE, 3)), DISC * 255]).astype(np.uint8))
    cases, report = imported(data, tmp_path / "a")
    assert report.failed == []
    sizes = [int((side == value).sum()) for value in (1, 2, 3)]
    assert masks_of(cases["soft.png"]) == {"mask": int((np.asarray(soft) > 127).sum())}
    assert masks_of(cases["levels.png"]) == dict(zip(("label_85", "label_170", "label_255"), sizes, strict=True))
    assert masks_of(cases["palette.png"]) == dict(zip(("label_1", "label_2", "label_3"), sizes, strict=True))
    assert masks_of(cases["colours.png"]) == dict(zip(("colour_c80000", "colour_00c800", "colour_0000c8"), sizes, strict=True))
    assert masks_of(cases["alpha.png"]) == {"mask": int(DISC.sum())}
    assert [note.reason for note in report.notes if "soft edge" in note.reason] == [report.notes[-1].reason]


def test_doubtful_masks_are_named_and_the_others_taken(tmp_path: Path) -> None:
    data = tmp_path / "d"
    for name in ("a", "b", "c"):
        picture(data / "images" / f"{name}.png")
    (data / "masks").mkdir()
    saved(data / "masks" / "a.png", (DISC * 255).astype(np.uint8))
    saved(data / "masks" / "b.png", (~DISC * 255).astype(np.uint8))
    saved(data / "masks" / "c.png", np.tile(np.arange(0, 240, 3, dtype=np.uint8), (64, 1)))
    cases, report = imported(data, tmp_path / "a")
    assert masks_of(cases["a.png"]) == {"mask": int(DISC.sum())}
    assert not cases["b.png"].load_masks
    assert not cases["c.png"].load_masks
    assert {Path(refused.path).name: "inverted" in refused.reason for refused in report.failed} == {"b.png": True, "c.png": False}


def test_empty_and_fitted_masks_are_reported_each_time(tmp_path: Path) -> None:
    data = tmp_path / "d"
    for name in ("a", "b", "c", "d"):
        picture(data / "images" / f"{name}.png")
    (data / "masks").mkdir()
    saved(data / "masks" / "a.png", np.zeros(SHAPE, np.uint8))
    saved(data / "masks" / "b.png", (DISC[::2, ::2] * 255).astype(np.uint8))
    saved(data / "masks" / "c.png", np.zeros(SHAPE, np.uint8))
    saved(data / "masks" / "d.png", np.zeros((60, 80), np.uint8))
    cases, report = imported(data, tmp_path / "a")
    assert masks_of(cases["a.png"]) == {"mask": 0}
    assert not cases["d.png"].load_masks
    assert ["(60, 80)" in refused.reason and "(64, 80)" in refused.reason for refused in report.failed] == [True]
    notes = {Path(note.path).name: note.reason for note in report.notes}
    assert notes.keys() == {"a.png", "b.png", "c.png"}
    assert "empty" in notes["a.png"]
    assert "32×40 pixels and its image 64×80; it was fitted by the whole factor 2" in notes["b.png"]
    _, again = imported(data, tmp_path / "a")
    assert again.notes == report.notes
    lines = noted(again.notes)
    assert len(lines) == 2
    assert "a.png and 1 more: The mask is empty" in lines[0]


def dicom(folder: Path, uid: str, **tags: object) -> casewise.Image:
    series(folder, Plan(), **{**PATIENT, "SeriesInstanceUID": uid, "StudyInstanceUID": "1.2.3", **tags})
    return formats.read(folder)


def test_a_segmentation_is_a_mask_of_its_series_wherever_it_lies(tmp_path: Path) -> None:
    data = tmp_path / "d"
    images = {name: dicom(data / name, f"1.2.3.{number}") for number, name in enumerate(("beside", "apart", "none"), start=40)}
    expected = {name: int(mask.sum()) for name, mask in two(images["apart"]).items()}
    casewise.write_segmentation(data / "beside" / "IM9", two(images["beside"]), images["beside"])
    casewise.write_segmentation(data / "seg" / "1.dcm", two(images["apart"]), images["apart"])
    gone = dicom(tmp_path / "gone", "1.2.3.50")
    casewise.write_segmentation(data / "seg" / "2.dcm", two(gone), gone)
    cases, report = imported(data, tmp_path / "a")
    assert {name: masks_of(case) for name, case in cases.items()} == {"beside": expected, "apart": expected, "none": {}}
    assert [(Path(refused.path).name, "not among the images" in refused.reason) for refused in report.failed] == [("2.dcm", True)]
    _, again = imported(data, tmp_path / "a")
    assert (again.added, again.known, again.failed) == (0, 3, report.failed)
    # Once its series is there, so is the mask.
    shutil.copytree(tmp_path / "gone", data / "gone")
    cases, later = imported(data, tmp_path / "a")
    assert masks_of(cases["gone"]) == expected
    assert later.failed == []


def test_a_segmentation_that_names_no_series_is_a_mask_of_those_in_its_folder(tmp_path: Path) -> None:
    data = tmp_path / "d"
    images = {name: dicom(data / name, f"1.2.3.{number}") for number, name in enumerate(("with", "without"), start=40)}
    path = casewise.write_segmentation(data / "with" / "IM9", two(images["with"]), images["with"])
    dataset = dcmread(path)
    del dataset.ReferencedSeriesSequence
    dataset.save_as(path)
    cases, report = imported(data, tmp_path / "a")
    expected = {name: int(mask.sum()) for name, mask in two(images["with"]).items()}
    assert {name: masks_of(case) for name, case in cases.items()} == {"with": expected, "without": {}}
    assert report.failed == []


def test_a_segmentation_added_later_is_taken_for_a_known_series(tmp_path: Path) -> None:
    data = tmp_path / "d"
    image = dicom(data / "s", "1.2.3.40")
    cases, _ = imported(data, tmp_path / "a")
    assert masks_of(cases["s"]) == {}
    casewise.write_segmentation(data / "other" / "seg", two(image), image)
    cases, report = imported(data, tmp_path / "a")
    assert masks_of(cases["s"]) == {name: int(mask.sum()) for name, mask in two(image).items()}
    assert (report.added, report.labels, report.failed) == (0, 2, [])


def test_a_volume_that_lies_nowhere_is_no_mask_of_a_series(tmp_path: Path) -> None:
    """Its slices are square: rows and columns would have been exchanged."""
    (tmp_path / "d" / "p1").mkdir(parents=True)
    for index in range(3):
        instance(tmp_path / "d" / "p1" / str(index), pixels(index, 8, 8), InstanceNumber=index, **placed(Plan(), index))
    labels = np.zeros((8, 8, 3), np.uint8)
    labels[2:4, 4:7, 0] = 1
    nowhere(tmp_path / "d" / "p1" / "mask.nii.gz", labels)
    cases, report = imported(tmp_path / "d", tmp_path / "a")
    assert ["does not say where its voxels lie" in one.reason for one in report.failed] == [True]
    assert [masks_of(case) for case in cases.values()] == [{}]
    image = formats.read(tmp_path / "d" / "p1")
    formats.write_mask(tmp_path / "d" / "p1" / "mask.nii.gz", labels, image)
    cases, report = imported(tmp_path / "d", tmp_path / "b")
    assert report.failed == [] and [masks_of(case) for case in cases.values()] == [{"label_1": 6}]


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_a_volume_in_a_space_of_its_own_has_masks_on_its_grid_alone(tmp_path: Path, suffix: str) -> None:
    """One that another program wrote of it, one in the same words; not one of the same shape elsewhere."""
    for name in ("one", "two", "three"):
        nowhere(
            tmp_path / "d" / name / f"{name}{suffix}", IN_PART + RNG.integers(7, 200, IN_PART.shape, np.uint8), said=OWN[suffix]
        )
    of_itk = SimpleITK.ReadImage(str(tmp_path / "d" / "one" / f"one{suffix}"))
    mask = SimpleITK.GetImageFromArray(IN_PART.T)
    mask.CopyInformation(of_itk)
    SimpleITK.WriteImage(mask, str(tmp_path / "d" / "one" / f"one_mask{suffix}"))
    nowhere(tmp_path / "d" / "two" / f"two_mask{suffix}", IN_PART, said=OWN[suffix])
    nowhere(tmp_path / "d" / "three" / f"three_mask{suffix}", IN_PART, said=SIZES[suffix])
    cases, report = imported(tmp_path / "d", tmp_path / "a")
    assert {Path(name).stem: masks_of(case) for name, case in cases.items()} == {
        "one": {"label_1": 6},
        "two": {"label_1": 6},
        "three": {},
    }
    assert ["neither says how its axes run in the patient" in one.reason for one in report.failed] == [True]
    assert not any(case.image.header.orientation_known for case in cases.values())


def test_two_segments_of_one_name_are_two_structures(tmp_path: Path) -> None:
    image = dicom(tmp_path / "d" / "s", "1.2.3.40")
    masks = two(image)
    path = casewise.write_segmentation(tmp_path / "d" / "1.dcm", {"a": masks["left lung"], "b": masks["肝臓"]}, image)
    dataset = dcmread(path)
    for segment, label in zip(dataset.SegmentSequence, ("Lesion", "lesion"), strict=True):
        segment.SegmentLabel = label
    dataset.save_as(path)
    cases, report = imported(tmp_path / "d", tmp_path / "a")
    assert masks_of(cases["s"]) == {"Lesion": int(masks["left lung"].sum()), "lesion 2": int(masks["肝臓"].sum())}
    assert report.failed == []


def test_a_mask_added_by_its_path_is_cut_as_an_imported_one(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", (128, 160))
    soft = np.asarray(Pillow.fromarray((DISC * 255).astype(np.uint8)).resize((160, 128), Pillow.Resampling.BILINEAR))
    saved(tmp_path / "soft.png", soft)
    saved(tmp_path / "inverted.png", np.where(soft > 127, 0, 255).astype(np.uint8))
    with Archive.open(tmp_path / "a", create=True) as opened:
        with pytest.raises(CasewiseError, match="inverted"):
            opened.add(tmp_path / "a.png", {"x": tmp_path / "inverted.png"})
        opened.add(tmp_path / "a.png", {"x": tmp_path / "soft.png"})
        (case,) = opened.cases(["x"])
    np.testing.assert_array_equal(case.load_masks["x"](), soft > 127)


def test_two_series_of_one_folder_keep_their_own(tmp_path: Path) -> None:
    """Names that look like masks, and like each other, say nothing: the UIDs do."""
    data = tmp_path / "d"
    first, second = dicom(tmp_path / "1", "1.2.3.40"), dicom(tmp_path / "2", "1.2.3.41")
    data.mkdir()
    for number in (1, 2):
        for file in (tmp_path / str(number)).iterdir():
            shutil.copy(file, data / f"{number}_{file.name}.dcm")
    casewise.write_segmentation(data / "1_mask.dcm", {"x": two(second)["肝臓"]}, second)
    casewise.write_segmentation(data / "2_mask.dcm", {"x": two(first)["left lung"]}, first)
    with Archive.open(tmp_path / "a", create=True) as opened:
        report = opened.import_paths([data])
        masks = {str(case.image.header.series): case.load_masks["x"]() for case in opened.cases()}
    assert report.failed == []
    np.testing.assert_array_equal(masks["1.2.3.40"], two(first)["left lung"])
    np.testing.assert_array_equal(masks["1.2.3.41"], two(second)["肝臓"])


def test_reported_files(shared_data: Path, tmp_path: Path) -> None:
    reports = shared_data / "bug-reports"
    for number, (folder, name, expected) in enumerate((
        ("masks/resized2x_bilinear", "case1.png", {"mask": 276}),
        ("masks/png_20_labels_x12", "case1.png", {f"label_{value}": 56 for value in range(12, 241, 12)}),
        ("masks/rgba_black_alpha_is_mask", "case1.png", {"mask": 249}),
        ("masks/tif_miniswhite", "case1.png", {"mask": 249}),
        ("seg/seg_as_mask", "seg_as_mask", {"left_lung": 95, "thing é": 95}),
    )):  # fmt: skip
        cases, report = imported(reports / folder, tmp_path / str(number))
        assert {name: masks_of(case) for name, case in cases.items()} == {name: expected}
        assert report.failed == []
