"""Segmentations of one phase of several that lie at the same places: a frame marks the planes that it names, and no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UltrasoundMultiFrameImageStorage

import casewise
from casewise import formats
from casewise.archive import Archive
from casewise.errors import UnreadableImageError
from casewise.formats import read, read_label_map, read_mask
from casewise.image import Image
from tests.formats import synthetic
from tests.formats.dicom.test_write_segmentation import PATIENT
from tests.formats.synthetic import Plan

OTHER_PLANES = r"s\.dcm is a segmentation of other planes"


def phases(folder: Path) -> list[Image]:
    """Two phases of one series, in a file a slice."""
    for number in range(2):
        # The second phase is brighter, so that cases can be told apart.
        tags = {"TriggerTime": str(300 * number), "Modality": "MR", "RescaleSlope": 1, "RescaleIntercept": 100 * number, **PATIENT}
        synthetic.series(folder, Plan(), offset=1000 * number, **tags)
    return [read(folder, f"1.2.3.4#{number}") for number in (1, 2)]


def box(image: Image, *sides: slice) -> np.ndarray:
    mask = np.zeros(image.spatial_shape, bool)
    mask[sides] = True
    return mask


def large_and_small(images: list[Image]) -> list[np.ndarray]:
    return [box(images[0], slice(1, 6), slice(2, 8)), box(images[1], slice(2, 4), slice(3, 5))]


def identified(number: int) -> Dataset:
    item = Dataset()
    item.ReferencedSegmentNumber = number
    return item


def joined(path: Path, parts: list[Path], numbers: list[int]) -> Path:
    """One segmentation of the frames of several of one segment each; ``numbers``: the segment that those of each become."""
    read_in = [dcmread(part) for part in parts]
    whole = read_in[0]
    del whole.SharedFunctionalGroupsSequence[0].SegmentIdentificationSequence
    frames = np.concatenate([np.atleast_3d(part.pixel_array.T).T for part in read_in])
    for part, number in zip(read_in, numbers, strict=True):
        segment = part.SegmentSequence[0]
        segment.SegmentNumber = number
        if number > len(whole.SegmentSequence):
            whole.SegmentSequence.append(segment)
        for group in part.PerFrameFunctionalGroupsSequence:
            group.SegmentIdentificationSequence = [identified(number)]
        if part is not whole:
            whole.PerFrameFunctionalGroupsSequence.extend(part.PerFrameFunctionalGroupsSequence)
            whole.SourceImageSequence.extend(part.SourceImageSequence)
            listed = whole.ReferencedSeriesSequence[0].ReferencedInstanceSequence
            if listed is not whole.SourceImageSequence:
                listed.extend(part.ReferencedSeriesSequence[0].ReferencedInstanceSequence)
    whole.NumberOfFrames = len(frames)
    packed = np.packbits(frames.ravel(), bitorder="little").tobytes()
    whole.PixelData = packed + b"\0" * (len(packed) % 2)
    whole.save_as(path)
    return path


def of_both(folder: Path, images: list[Image], masks: list[np.ndarray], names: tuple[str, str]) -> Path:
    """One segmentation of two phases, as viewers write it; under one name the phases share their segment."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = [
        casewise.write_segmentation(folder.parent / f"{number}.part", {name: mask}, image)
        for number, (name, mask, image) in enumerate(zip(names, masks, images, strict=True))
    ]
    return joined(folder / "s.dcm", parts, [1, 1 + (names[0] != names[1])])


def sources(dataset: Any) -> list[Any]:
    groups = dataset.PerFrameFunctionalGroupsSequence
    return [item for group in groups for item in group.DerivationImageSequence[0].SourceImageSequence]


def edited(path: Path, change: Any) -> Path:
    dataset = dcmread(path)
    change(dataset)
    dataset.save_as(path)
    return path


def test_each_phase_gets_the_frames_that_name_its_files(tmp_path: Path) -> None:
    images = phases(tmp_path / "d")
    masks = large_and_small(images)
    path = of_both(tmp_path / "seg", images, masks, ("ventricle", "ventricle"))
    for image, mask in zip(images, masks, strict=True):
        np.testing.assert_array_equal(read_mask(path, image), mask)
        np.testing.assert_array_equal(read_mask(path, image, member="ventricle"), mask)


def test_a_frame_number_beside_a_file_of_one_frame_says_nothing(tmp_path: Path) -> None:
    images = phases(tmp_path / "d")
    masks = large_and_small(images)
    path = of_both(tmp_path / "seg", images, masks, ("ventricle", "ventricle"))

    def numbered(dataset: Any) -> None:
        for number, item in enumerate(sources(dataset), start=1):
            item.ReferencedFrameNumber = number

    edited(path, numbered)
    for image, mask in zip(images, masks, strict=True):
        np.testing.assert_array_equal(read_mask(path, image), mask)


def test_a_segment_of_another_phase_is_none_of_this(tmp_path: Path) -> None:
    images = phases(tmp_path / "d")
    masks = large_and_small(images)
    path = of_both(tmp_path / "seg", images, masks, ("diastole", "systole"))
    for image, mask, own, other in zip(images, masks, (1, 2), (2, 1), strict=True):
        np.testing.assert_array_equal(read_mask(path, image), mask)
        found = read_label_map(path, image)
        assert list(found) == [("diastole", "systole")[own - 1]]
        words = rf"its segment {other} was drawn on other planes than its image's; on these it has {own}\."
        with pytest.raises(UnreadableImageError, match=words):
            read_mask(path, image, value=other)


def test_a_phase_that_is_named_and_empty_has_an_empty_mask(tmp_path: Path) -> None:
    """The frames of a phase in which nothing was drawn say that it was looked at."""
    images = phases(tmp_path / "d")
    masks = large_and_small(images)
    path = of_both(tmp_path / "seg", images, masks, ("ventricle", "ventricle"))

    def emptied(dataset: Any) -> None:
        frames = dataset.pixel_array
        frames[len(frames) // 2 :] = 0
        packed = np.packbits(frames.ravel(), bitorder="little").tobytes()
        dataset.PixelData = packed + b"\0" * (len(packed) % 2)

    edited(path, emptied)
    np.testing.assert_array_equal(read_mask(path, images[0], value=1), masks[0])
    assert not read_mask(path, images[1], value=1).any()


def test_frames_that_name_no_planes_are_placed_on_any_image_of_the_series(tmp_path: Path) -> None:
    images = phases(tmp_path / "d")
    masks = large_and_small(images)
    path = of_both(tmp_path / "seg", images, masks, ("ventricle", "ventricle"))

    def nameless(dataset: Any) -> None:
        for group in dataset.PerFrameFunctionalGroupsSequence:
            del group.DerivationImageSequence

    edited(path, nameless)
    np.testing.assert_array_equal(read_mask(path, images[1]), masks[0] | masks[1])


def test_a_converted_phase_does_not_say_which_it_is(tmp_path: Path) -> None:
    images = phases(tmp_path / "d")
    masks = large_and_small(images)
    converted = read(formats.write(tmp_path / "second.nii.gz", images[1]))
    path = of_both(tmp_path / "seg", images, masks, ("ventricle", "ventricle"))
    with pytest.raises(UnreadableImageError, match=r"s\.dcm marks the same place on several images.* was converted"):
        read_mask(path, converted)
    apart = of_both(tmp_path / "seg", images, masks, ("diastole", "systole"))
    np.testing.assert_array_equal(read_mask(apart, converted, member="systole"), masks[1])


def dynamic(folder: Path) -> list[Image]:
    """Two phases in one file of several frames."""
    folder.mkdir()
    path = synthetic.enhanced(folder / "dynamic.dcm", Plan(), list(range(synthetic.SLICES)), times=2, **PATIENT)
    return [read(path, f"stack={number}") for number in range(2)]


def test_a_phase_of_a_file_of_several_is_known_by_its_frames(tmp_path: Path) -> None:
    first, second = dynamic(tmp_path / "d")
    mask = box(second, slice(2, 4), slice(3, 5), slice(1, 4))
    path = casewise.write_segmentation(tmp_path / "s.dcm", {"ventricle": mask}, second)
    np.testing.assert_array_equal(read_mask(path, second), mask)
    with pytest.raises(UnreadableImageError, match=OTHER_PLANES):
        read_mask(path, first)
    # A single plane of that phase takes what was drawn on it.
    plane = read(tmp_path / "d" / "dynamic.dcm", "frame=5")  # of the third slice, in the second phase
    np.testing.assert_array_equal(read_mask(path, plane), mask[..., 2])
    with pytest.raises(UnreadableImageError, match=OTHER_PLANES):
        read_mask(path, read(tmp_path / "d" / "dynamic.dcm", "frame=4"))


def test_without_a_frame_number_all_frames_of_an_instance_are_named(tmp_path: Path) -> None:
    images = dynamic(tmp_path / "d")
    mask = box(images[1], slice(2, 4), slice(3, 5), slice(1, 4))
    path = casewise.write_segmentation(tmp_path / "s.dcm", {"ventricle": mask}, images[1])

    def whole(dataset: Any) -> None:
        for item in sources(dataset):
            del item.ReferencedFrameNumber

    edited(path, whole)
    for image in images:
        np.testing.assert_array_equal(read_mask(path, image), mask)


def test_a_frame_may_name_several(tmp_path: Path) -> None:
    first, second = dynamic(tmp_path / "d")
    mask = box(second, slice(2, 4), slice(3, 5), slice(1, 2))
    path = casewise.write_segmentation(tmp_path / "s.dcm", {"ventricle": mask}, second)

    def both(dataset: Any) -> None:
        for item in sources(dataset):
            item.ReferencedFrameNumber = [int(item.ReferencedFrameNumber) - 1, int(item.ReferencedFrameNumber)]

    edited(path, both)
    for image in (first, second):
        np.testing.assert_array_equal(read_mask(path, image), mask)


def test_a_frame_of_a_cine_loop_keeps_its_mask_to_itself(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 200, (4, 12, 16)).astype(np.uint16)
    about = {key: value for key, value in PATIENT.items() if key != "FrameOfReferenceUID"}
    loop = synthetic.instance(
        tmp_path / "us.dcm", frames, UltrasoundMultiFrameImageStorage, NumberOfFrames=4, FrameTime=40, **{**about, "Modality": "US"}
    )
    shown = [read(loop, f"frame={number}") for number in range(4)]
    mask = box(shown[3], slice(2, 5), slice(6, 9))
    path = casewise.write_segmentation(tmp_path / "s.dcm", {"lesion": mask}, shown[3])
    np.testing.assert_array_equal(read_mask(path, shown[3]), mask)
    for other in shown[:3]:
        with pytest.raises(UnreadableImageError, match=OTHER_PLANES):
            read_mask(path, other)


def imported(folder: Path, archive: Path) -> tuple[list[dict[str, int]], Any]:
    with Archive.open(archive, create=True) as opened:
        report = opened.import_paths([folder])
        cases = sorted(opened.cases(), key=lambda case: float(case.image.array.mean()))
        return [{name: int(load().sum()) for name, load in case.load_masks.items()} for case in cases], report


@pytest.mark.parametrize("names", [("ventricle", "ventricle"), ("diastole", "systole")])
def test_an_import_gives_each_phase_its_own_masks(tmp_path: Path, names: tuple[str, str]) -> None:
    data = tmp_path / "d"
    images = phases(data)
    masks = large_and_small(images)
    of_both(data, images, masks, names)
    expected = [{name: int(mask.sum())} for name, mask in zip(names, masks, strict=True)]
    found, report = imported(data, tmp_path / "a")
    assert (found, report.failed, report.labels) == (expected, [], 2)
    found, again = imported(data, tmp_path / "a")
    assert (found, again.added, again.known, again.failed) == (expected, 0, 2, [])


def test_an_import_attaches_no_phase_that_is_not_named(tmp_path: Path) -> None:
    _, second = dynamic(tmp_path / "d")
    mask = box(second, slice(2, 4), slice(3, 5), slice(1, 4))
    casewise.write_segmentation(tmp_path / "d" / "s.dcm", {"ventricle": mask}, second)
    found, report = imported(tmp_path / "d", tmp_path / "a")
    assert (found, report.failed) == ([{}, {"ventricle": int(mask.sum())}], [])
