"""Segmentations as masks: DICOM SEG of several programs and Slicer's .seg.nrrd, each voxel where it was drawn, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ComputedRadiographyImageStorage, generate_uid

import casewise
from casewise import formats
from casewise.errors import UnreadableImageError
from casewise.formats import drawn_in, read_mask, write_mask
from casewise.header import Header
from casewise.image import Image
from tests.formats import synthetic
from tests.formats.dicom.test_write_segmentation import PATIENT, PLANS
from tests.formats.slicer_files import segment, slicer
from tests.formats.synthetic import Plan

RNG = np.random.default_rng(3)


def series(folder: Path, plan: Plan | None = None, **tags: Any) -> Image:
    synthetic.series(folder, plan or Plan(), **{**PATIENT, **tags})
    return formats.read(folder)


def two(image: Image) -> dict[str, np.ndarray]:
    """Two overlapping masks that are not the same from any side."""
    first, second = np.zeros(image.spatial_shape, bool), np.zeros(image.spatial_shape, bool)
    first[1:3, 0:4, 1:3], second[2:6, 1:3, 2:5] = True, True
    first[5, 7, 0] = second[0, 8, 4] = True
    return {"left lung": first, "肝臓": second}


def described(*names: str) -> list[Any]:
    algorithm = highdicom.AlgorithmIdentificationSequence("other", codes.cid7162.ArtificialIntelligence, "1")
    return [
        highdicom.seg.SegmentDescription(number, name, codes.SCT.Organ, codes.SCT.Liver, "AUTOMATIC", algorithm)
        for number, name in enumerate(names, start=1)
    ]


def of_another_program(folder: Path, masks: dict[str, np.ndarray], path: Path, kind: str = "BINARY", **options: Any) -> Path:
    """The masks (row, column, slice) of a series as highdicom writes them; a label map's later segments win."""
    files = sorted((dcmread(file) for file in folder.iterdir()), key=lambda d: float(np.dot(d.ImagePositionPatient, normal(d))))
    stacked = np.moveaxis(np.stack(list(masks.values()), axis=-1), 2, 0)
    if kind == "LABELMAP":
        stacked = np.max(stacked * np.arange(1, len(masks) + 1), axis=-1)
    pixels = stacked.astype(np.float32) if kind == "FRACTIONAL" else stacked.astype(np.uint8)
    made = highdicom.seg.Segmentation(
        files, pixels, kind, described(*masks), generate_uid(), 5, generate_uid(), 1, "other", "other", "1", "0",
        specific_character_set="ISO_IR 192", **options,
    )  # fmt: skip
    made.save_as(path)
    return path


def normal(dataset: Any) -> np.ndarray:
    return np.cross(dataset.ImageOrientationPatient[:3], dataset.ImageOrientationPatient[3:])


def check(path: Path, image: Image, masks: dict[str, np.ndarray]) -> None:
    contents = drawn_in(path)
    assert [one.name for one in contents.structures] == list(masks)
    for one, (name, mask) in zip(contents.structures, masks.items(), strict=True):
        np.testing.assert_array_equal(read_mask(path, image, member=one.member, value=one.value, above=one.above), mask)
        np.testing.assert_array_equal(read_mask(path, image, member=name), mask)
    np.testing.assert_array_equal(read_mask(path, image), np.logical_or.reduce(list(masks.values())))


@pytest.mark.parametrize("name", PLANS)
def test_our_own_comes_back(tmp_path: Path, name: str) -> None:
    image = series(tmp_path / "s", PLANS[name])
    check(casewise.write_segmentation(tmp_path / "a.seg.dcm", two(image), image), image, two(image))


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
@pytest.mark.parametrize("omitted", [True, False])
def test_other_programs_segmentations(tmp_path: Path, kind: str, omitted: bool) -> None:
    image = series(tmp_path / "s", PLANS["oblique"])
    masks = two(image)
    if kind == "LABELMAP":
        masks["left lung"] &= ~masks["肝臓"]
    path = of_another_program(tmp_path / "s", masks, tmp_path / "a.dcm", kind, omit_empty_frames=omitted)
    check(path, image, masks)


def test_a_fraction_counts_from_the_half_of_its_maximum(tmp_path: Path) -> None:
    image = series(tmp_path / "s")
    share = np.zeros(image.spatial_shape, np.float32)
    share[2:4, 2:4], share[4, 4] = 0.8, 0.3
    for largest in (255, 100):
        path = of_another_program(tmp_path / "s", {"x": share}, tmp_path / "a.dcm", "FRACTIONAL", max_fractional_value=largest)
        np.testing.assert_array_equal(read_mask(path, image), share > 0.5)


def edited(path: Path, change: Any) -> Path:
    dataset = dcmread(path)
    change(dataset)
    dataset.save_as(path)
    return path


def test_frames_in_any_order_with_their_own_orientation_and_turned(tmp_path: Path) -> None:
    """The frames reversed, each with its geometry in its own functional group, and one stored upside down."""
    image = series(tmp_path / "s", PLANS["oblique"])
    masks = two(image)
    path = of_another_program(tmp_path / "s", masks, tmp_path / "a.dcm", omit_empty_frames=False)

    def change(dataset: Any) -> None:
        frames = dataset.pixel_array
        shared, groups = dataset.SharedFunctionalGroupsSequence[0], list(dataset.PerFrameFunctionalGroupsSequence)
        orientation = [float(x) for x in shared.PlaneOrientationSequence[0].ImageOrientationPatient]
        spacing = float(shared.PixelMeasuresSequence[0].PixelSpacing[0])
        for number, group in enumerate(groups):
            group.PixelMeasuresSequence = shared.PixelMeasuresSequence
            own = Dataset()
            own.ImageOrientationPatient = orientation
            if number == 3:
                down = np.asarray(orientation[3:])
                own.ImageOrientationPatient = [*orientation[:3], *(-down)]
                place = np.asarray(group.PlanePositionSequence[0].ImagePositionPatient, float)
                group.PlanePositionSequence[0].ImagePositionPatient = list(place + down * spacing * (frames.shape[1] - 1))
                frames[number] = frames[number][::-1]
            group.PlaneOrientationSequence = [own]
        del shared.PlaneOrientationSequence, shared.PixelMeasuresSequence
        dataset.PerFrameFunctionalGroupsSequence = groups[::-1]
        packed = np.packbits(frames[::-1].ravel(), bitorder="little").tobytes()
        dataset.PixelData = packed + b"\0" * (len(packed) % 2)

    check(edited(path, change), image, masks)


def test_a_cropped_segmentation_and_one_across_the_planes(tmp_path: Path) -> None:
    image = series(tmp_path / "s")
    masks = {"x": np.zeros(image.spatial_shape, bool)}
    masks["x"][3:5, 2:6, 1:4] = True
    path = of_another_program(tmp_path / "s", masks, tmp_path / "a.dcm")

    def crop(dataset: Any) -> None:
        frames = dataset.pixel_array[:, 2:6, 1:8]
        dataset.Rows, dataset.Columns = frames.shape[1:]
        packed = np.packbits(frames.ravel(), bitorder="little").tobytes()
        dataset.PixelData = packed + b"\0" * (len(packed) % 2)
        row = np.asarray(dataset.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient, float)
        between = [float(x) for x in dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing]
        for group in dataset.PerFrameFunctionalGroupsSequence:
            place = np.asarray(group.PlanePositionSequence[0].ImagePositionPatient, float)
            place = place + 2 * between[0] * row[3:] + 1 * between[1] * row[:3]
            group.PlanePositionSequence[0].ImagePositionPatient = list(place)

    check(edited(path, crop), image, masks)


def moved(dataset: Any) -> None:
    for group in dataset.PerFrameFunctionalGroupsSequence:
        group.PlanePositionSequence[0].ImagePositionPatient[0] += 0.35


def coarser(dataset: Any) -> None:
    measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.PixelSpacing = [2 * float(x) for x in measures.PixelSpacing]


def far(dataset: Any) -> None:
    step = 100 * float(dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing[1])
    for group in dataset.PerFrameFunctionalGroupsSequence:
        group.PlanePositionSequence[0].ImagePositionPatient[0] += step


def of_other_series(dataset: Any) -> None:
    dataset.ReferencedSeriesSequence[0].SeriesInstanceUID = "1.2.3.99"


def of_other_instances(dataset: Any) -> None:
    for item in [*dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence, *dataset.SourceImageSequence]:
        item.ReferencedSOPInstanceUID = generate_uid()
    for group in dataset.PerFrameFunctionalGroupsSequence:
        del group.DerivationImageSequence


def of_nothing_and_another_patient(dataset: Any) -> None:
    without_references(dataset)
    dataset.PatientID = "another"


def without_references(dataset: Any) -> None:
    del dataset.ReferencedSeriesSequence, dataset.SourceImageSequence
    for group in dataset.PerFrameFunctionalGroupsSequence:
        del group.DerivationImageSequence


def undescribed(dataset: Any) -> None:
    del dataset.SegmentSequence[1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (moved, "between the image's voxels"),
        (coarser, "not of the size"),
        (far, "reaches beyond"),
        (of_other_series, "another series"),
        (of_other_instances, "other DICOM instances"),
        (of_nothing_and_another_patient, "another patient, study or frame"),
        (undescribed, "does not describe"),
    ],
)
def test_a_segmentation_of_something_else_is_refused(tmp_path: Path, change: Any, words: str) -> None:
    image = series(tmp_path / "s")
    path = edited(of_another_program(tmp_path / "s", two(image), tmp_path / "a.dcm"), change)
    with pytest.raises(UnreadableImageError, match=rf"a\.dcm .*{words}"):
        read_mask(path, image)


def test_a_segmentation_without_references_is_known_by_frame_study_and_patient(tmp_path: Path) -> None:
    image = series(tmp_path / "s")
    masks = two(image)
    check(edited(of_another_program(tmp_path / "s", masks, tmp_path / "a.dcm"), without_references), image, masks)


def test_a_converted_series_takes_its_segmentation_by_place(tmp_path: Path) -> None:
    image = series(tmp_path / "s", PLANS["sagittal"])
    masks = two(image)
    path = of_another_program(tmp_path / "s", masks, tmp_path / "a.dcm")
    converted = formats.read(formats.write(tmp_path / "s.nii.gz", image))
    check(path, converted, masks)
    with pytest.raises(UnreadableImageError, match="lies nowhere"):
        read_mask(path, Image(np.zeros((1, 7, 9)), header=Header(format="PNG", spacing_known=False)))


def film(folder: Path, name: str) -> Image:
    about = {**PATIENT, "Modality": "CR", "InstanceNumber": 1, "SeriesInstanceUID": "1.2.3.7"}
    del about["FrameOfReferenceUID"]
    path = synthetic.instance(folder / name, synthetic.pixels(0, 12, 10), ComputedRadiographyImageStorage, **about)
    return formats.read(path)


def test_a_radiographs_segmentation_is_its_own_alone(tmp_path: Path) -> None:
    first, second = film(tmp_path, "a.dcm"), film(tmp_path, "b.dcm")
    mask = RNG.random((12, 10)) > 0.5
    path = casewise.write_segmentation(tmp_path / "a.seg.dcm", {"lung": mask}, first)
    check(path, first, {"lung": mask})
    with pytest.raises(UnreadableImageError, match="other DICOM instances"):
        read_mask(path, second)


def test_names_without_a_character_set_and_without_a_label(tmp_path: Path) -> None:
    image = series(tmp_path / "s")
    path = of_another_program(tmp_path / "s", two(image), tmp_path / "a.dcm")
    edited(path, lambda dataset: delattr(dataset, "SpecificCharacterSet"))
    dataset = dcmread(path)
    dataset.SegmentSequence[0].SegmentLabel = "thing é"
    dataset.SegmentSequence[1].SegmentLabel = ""
    dataset.save_as(path)
    assert [one.name for one in drawn_in(path).structures] == ["thing é", "Liver"]
    utf8 = "肝臓é".encode()
    dataset.SegmentSequence[0].SegmentLabel = "z" * len(utf8)
    dataset.save_as(path)
    path.write_bytes(path.read_bytes().replace(b"z" * len(utf8), utf8))
    assert drawn_in(path).structures[0].name == "肝臓é"


def test_what_is_no_segment_is_named(tmp_path: Path) -> None:
    image = series(tmp_path / "s")
    path = of_another_program(tmp_path / "s", two(image), tmp_path / "a.dcm")
    for call in ({"member": "spleen"}, {"member": "segment=3"}, {"member": "stack=7"}):
        with pytest.raises(UnreadableImageError, match=r"segment=1 \(left lung\), segment=2"):
            read_mask(path, image, **call)
    with pytest.raises(UnreadableImageError, match="has no segment 3; it has 1, 2"):
        read_mask(path, image, value=3)


def test_a_folder_of_a_series_and_its_segmentation_is_the_series(tmp_path: Path) -> None:
    image = series(tmp_path / "s")
    casewise.write_segmentation(tmp_path / "s" / "a.seg.dcm", two(image), image)
    again = formats.read(tmp_path / "s")
    np.testing.assert_array_equal(again.array, image.array)
    check(tmp_path / "s" / "a.seg.dcm", again, two(image))


def test_the_reported_segmentation(shared_data: Path) -> None:
    folder = shared_data / "bug-reports" / "seg" / "seg_as_mask"
    image = casewise.read(folder)
    path = folder / "axial.seg.dcm"
    assert image.spatial_shape == (20, 24, 8)
    assert [one.name for one in drawn_in(path).structures] == ["left_lung", "thing é"]
    assert [read_mask(path, image, member=name).sum() for name in ("left_lung", "thing é")] == [95, 95]


# Slicer


@pytest.fixture
def volume(tmp_path: Path) -> Image:
    affine = np.eye(4)
    affine[:3, :3] = np.diag([0.7, 1.5, 3.2]) @ np.eye(3)[:, [1, 0, 2]] * (1, -1, 1)
    affine[:3, 3] = (-91.5, 120.25, -33.0)
    path = formats.write(tmp_path / "scan.nrrd", Image(RNG.integers(0, 99, (1, 12, 10, 8)).astype(np.int16), affine))
    return formats.read(path)


def shifted(affine: np.ndarray, first: tuple[int, int, int]) -> np.ndarray:
    moved = affine.copy()
    moved[:3, 3] = (affine @ [*first, 1])[:3]
    return moved


def test_a_cropped_segmentation_of_slicer(tmp_path: Path, volume: Image) -> None:
    whole = np.zeros(volume.spatial_shape, np.uint8)
    whole[3:6, 2:7, 1:4], whole[6:9, 4:8, 3:7] = 1, 4
    first, part = (3, 2, 1), whole[3:9, 2:8, 1:7]
    keys = {**segment(0, "Right ventricle", 1), **segment(1, "左肺", 4)}
    keys["Segmentation_ReferenceImageExtentOffset"] = "3 2 1"
    path = slicer(tmp_path / "scan.seg.nrrd", part[None], shifted(volume.affine, first), keys)
    check(path, volume, {"Right ventricle": whole == 1, "左肺": whole == 4})
    np.testing.assert_array_equal(read_mask(path, volume, value=4), whole == 4)


def test_layers_of_slicer_overlap(tmp_path: Path, volume: Image) -> None:
    first, second = (np.zeros(volume.spatial_shape, np.uint8) for _ in range(2))
    first[1:8, 1:8, 1:6], first[9:11, 8:9, 6:8], second[4:9, 2:6, 2:7] = 1, 2, 1
    layers = np.stack([first, second])
    keys = {**segment(0, "lung", 1), **segment(1, "node", 2), **segment(2, "tumour", 1, layer=1)}
    path = slicer(tmp_path / "scan.seg.nrrd", layers, volume.affine, keys, values_axis=True)
    check(path, volume, {"lung": first == 1, "node": first == 2, "tumour": second == 1})
    with pytest.raises(UnreadableImageError, match="has 2 segments of the value 1"):
        read_mask(path, volume, value=1)
    old = {
        key: value for key, value in {**segment(0, "a", 1), **segment(1, "b", 1)}.items() if not key.endswith(("Layer", "Value"))
    }
    path = slicer(tmp_path / "old.seg.nrrd", np.minimum(layers, 1), volume.affine, old, values_axis=True)
    check(path, volume, {"a": first > 0, "b": second > 0})


def test_a_segmentation_of_slicer_in_another_order_of_axes(tmp_path: Path, volume: Image) -> None:
    whole = np.zeros(volume.spatial_shape, np.uint8)
    whole[3:6, 2:7, 1:4] = 1
    turned = whole[::-1].transpose(2, 0, 1)[:5, 4:, 1:9]
    change = np.zeros((4, 4))  # from the part's voxels to the volume's
    change[2, 0], change[0, 1], change[1, 2], change[3, 3] = 1, -1, 1, 1
    change[:3, 3] = (11 - 4, 1, 0)
    path = slicer(tmp_path / "scan.seg.nrrd", turned[None], volume.affine @ change, segment(0, "x", 1))
    check(path, volume, {"x": whole == 1})


def test_a_segmentation_of_slicer_elsewhere_is_refused(tmp_path: Path, volume: Image) -> None:
    part = np.ones((4, 4, 4), np.uint8)
    for affine, words in (
        (shifted(volume.affine, (9, 2, 1)), "reaches beyond"),
        (shifted(volume.affine, (40, 40, 40)), "reaches beyond"),
        (shifted(volume.affine, (0.5, 2, 1)), "another grid"),
        (volume.affine * (2, 1, 1, 1), "another grid"),
    ):
        path = slicer(tmp_path / "scan.seg.nrrd", part[None], affine, segment(0, "x", 1))
        with pytest.raises(UnreadableImageError, match=words):
            read_mask(path, volume)
    beyond = np.zeros((4, 4, 4), np.uint8)
    beyond[0] = 1  # what lies outside the image marks nothing
    path = slicer(tmp_path / "scan.seg.nrrd", beyond[None], shifted(volume.affine, (11, 2, 1)), segment(0, "x", 1))
    assert read_mask(path, volume).sum() == 16


def test_a_segmentation_of_a_picture_by_slicer(tmp_path: Path) -> None:
    drawn = np.zeros((64, 64), bool)
    drawn[10:20, 30:55] = True
    part = drawn[8:22, 28:60].T[..., None]  # Slicer's first axis runs along a row
    keys = {**segment(0, "x", 1), "Segmentation_ReferenceImageExtentOffset": "28 8 0"}
    path = slicer(tmp_path / "m.seg.nrrd", part[None], np.diag([-1.0, -1.0, 1.0, 1.0]), keys)
    image = Image(np.zeros((1, 64, 64)), header=Header(format="PNG", spacing_known=False))
    np.testing.assert_array_equal(read_mask(path, image), drawn)


def test_a_plain_label_map_of_nrrd_stays_one(tmp_path: Path, volume: Image) -> None:
    whole = np.zeros(volume.spatial_shape, np.uint8)
    whole[3:6, 2:7, 1:4], whole[6:9, 4:8, 3:7] = 1, 4
    path = write_mask(tmp_path / "scan-label.nrrd", whole, volume)
    assert [(one.name, one.value) for one in drawn_in(path).structures] == [(None, 1), (None, 4)]
