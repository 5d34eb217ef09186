"""DICOM segmentations: where each voxel lies, what is named, what other programs say of them, and what cannot be written."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import ComputedRadiographyImageStorage, generate_uid

from casewise import formats
from casewise.errors import CasewiseError
from casewise.formats.dicom.write_segmentation import write_segmentation
from casewise.image import Image
from tests.formats import synthetic
from tests.formats.synthetic import Plan

TURN = np.radians(25)
PLANS = {
    "axial": Plan(),
    "axial with negated columns": Plan(right=(-1, 0, 0)),
    "sagittal": Plan(right=(0, 1, 0), down=(0, 0, -1)),
    "coronal": Plan(right=(1, 0, 0), down=(0, 0, -1)),
    "oblique": Plan(right=(np.cos(TURN), np.sin(TURN), 0), down=(-np.sin(TURN) * 0.8, np.cos(TURN) * 0.8, 0.6)),
    "tilted gantry": Plan(step=(0, 0.8, 2.5)),
}
PATIENT = {
    "FrameOfReferenceUID": "1.2.3.9",
    "StudyDate": "20200101",
    "StudyTime": "101010",
    "StudyID": "1",
    "AccessionNumber": "7",
    "PatientBirthDate": "",
    "PatientSex": "F",
    "ReferringPhysicianName": "",
    "SeriesNumber": 1,
    "PositionReferenceIndicator": "",
}


def centroid(segmentation: Any, label: str) -> np.ndarray:
    """LPS mm, by nothing but what the object says of its own frames."""
    number = next(s.SegmentNumber for s in segmentation.SegmentSequence if s.SegmentLabel == label)
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    frames = segmentation.pixel_array.reshape(-1, segmentation.Rows, segmentation.Columns)
    points = []
    for frame, group in zip(frames, segmentation.PerFrameFunctionalGroupsSequence, strict=True):
        identified = group.get("SegmentIdentificationSequence") or shared.SegmentIdentificationSequence
        if identified[0].ReferencedSegmentNumber != number:
            continue
        along = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
        between = np.array(shared.PixelMeasuresSequence[0].PixelSpacing, float)
        position = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        for row, column in np.argwhere(frame):
            points.append(position + column * between[1] * along[:3] + row * between[0] * along[3:])
    return np.mean(points, axis=0)


def masks_of(image: Image) -> dict[str, np.ndarray]:
    low, overlapping = np.zeros(image.spatial_shape, bool), np.zeros(image.spatial_shape, bool)
    low[1:3, 0:2, 1:3] = True
    overlapping[2:6, 1:8, 2:5] = True
    return {"heart": low, "a structure of our own": overlapping}


@pytest.mark.parametrize("name", PLANS)
def test_every_object_lies_where_the_mask_says(tmp_path: Path, name: str) -> None:
    synthetic.series(tmp_path / "series", PLANS[name], **PATIENT)
    image = formats.read(tmp_path / "series")
    masks = masks_of(image)
    read = dcmread(write_segmentation(tmp_path / "out.seg.dcm", masks, image))
    for label, mask in masks.items():
        by_affine = image.affine @ [*np.argwhere(mask).mean(axis=0), 1]
        np.testing.assert_allclose(centroid(read, label), by_affine[:3] * [-1, -1, 1], atol=0.05)
    named = {item.ReferencedSOPInstanceUID for item in read.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    assert named == {dcmread(file).SOPInstanceUID for file in (tmp_path / "series").iterdir()}


def test_frames_of_one_file_are_placed_too(tmp_path: Path) -> None:
    plan = PLANS["oblique"]
    path = synthetic.enhanced(tmp_path / "enhanced.dcm", plan, [3, 1, 4, 0, 2], **PATIENT)
    image = formats.read(path)
    masks = masks_of(image)
    read = dcmread(write_segmentation(tmp_path / "out.seg.dcm", masks, image))
    by_affine = image.affine @ [*np.argwhere(masks["heart"]).mean(axis=0), 1]
    np.testing.assert_allclose(centroid(read, "heart"), by_affine[:3] * [-1, -1, 1], atol=0.05)


def radiograph(folder: Path) -> Path:
    about = {**PATIENT, "Modality": "CR", "SOPInstanceUID": generate_uid(), "InstanceNumber": 1, "PatientOrientation": ["L", "F"]}
    del about["FrameOfReferenceUID"]
    return synthetic.instance(folder / "chest.dcm", synthetic.pixels(0, 12, 10), ComputedRadiographyImageStorage, **about)


def test_a_radiograph_lies_nowhere_and_keeps_its_pixels(tmp_path: Path) -> None:
    image = formats.read(radiograph(tmp_path))
    mask = np.zeros(image.spatial_shape, bool)
    mask[2:5, 3:9] = True
    read = dcmread(write_segmentation(tmp_path / "out.seg.dcm", {"left_lung": mask}, image))
    assert (read.pixel_array.reshape(mask.shape) == mask).all()
    assert list(read.PatientOrientation) == ["L", "F"]
    assert read.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0].CodeValue == "44029006"


def test_the_same_masks_get_the_same_uids_and_others_get_others(tmp_path: Path) -> None:
    synthetic.series(tmp_path / "series", Plan(), **PATIENT)
    image = formats.read(tmp_path / "series")
    masks = masks_of(image)
    first, again = (dcmread(write_segmentation(tmp_path / f"{n}.seg.dcm", masks, image)).SOPInstanceUID for n in range(2))
    by_hand = dcmread(write_segmentation(tmp_path / "hand.seg.dcm", masks, image, by_hand=True))
    assert first == again != by_hand.SOPInstanceUID
    assert {segment.SegmentAlgorithmType for segment in by_hand.SegmentSequence} == {"SEMIAUTOMATIC"}


def test_what_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    synthetic.series(tmp_path / "series", Plan(), **PATIENT)
    image = formats.read(tmp_path / "series")
    masks = masks_of(image)
    with pytest.raises(CasewiseError, match="not read from DICOM"):
        write_segmentation(tmp_path / "a", masks, Image(image.array, image.affine))
    with pytest.raises(CasewiseError, match="None of the masks"):
        write_segmentation(tmp_path / "a", {"heart": np.zeros(image.spatial_shape, bool)}, image)
    with pytest.raises(CasewiseError, match="not on the image's grid"):
        write_segmentation(tmp_path / "a", {"heart": np.ones((2, 2, 2), bool)}, image)
    moved = Image(image.array, image.affine + np.eye(4)[:, [3, 0, 1, 2]] * 5, image.header, image.source)
    with pytest.raises(CasewiseError, match="no longer lie where"):
        write_segmentation(tmp_path / "a", masks, moved)
    shutil.rmtree(tmp_path / "series")
    with pytest.raises(CasewiseError):
        write_segmentation(tmp_path / "a", masks, image)
    assert not (tmp_path / "a").exists()


def test_a_de_identified_series_lacks_what_may_be_empty(tmp_path: Path) -> None:
    synthetic.series(tmp_path / "series", Plan(), FrameOfReferenceUID="1.2.3.9")
    image = formats.read(tmp_path / "series")
    assert dcmread(write_segmentation(tmp_path / "out.seg.dcm", masks_of(image), image)).PatientBirthDate == ""


def test_the_patients_name_reaches_the_object_and_no_warning(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    synthetic.series(tmp_path / "series", Plan(), **PATIENT, PatientName="Oneword")
    image = formats.read(tmp_path / "series")
    read = dcmread(write_segmentation(tmp_path / "out.seg.dcm", masks_of(image), image))
    assert read.PatientName == "Oneword"
    assert not [str(w.message) for w in recwarn if "Oneword" in str(w.message)]


def test_headers_without_a_study_are_one_sentence(tmp_path: Path) -> None:
    for file in synthetic.series(tmp_path / "series", Plan(), **PATIENT):
        dataset = dcmread(file)
        del dataset.StudyInstanceUID
        dataset.save_as(file)
    image = formats.read(tmp_path / "series")
    with pytest.raises(CasewiseError, match="must name"):
        write_segmentation(tmp_path / "a", masks_of(image), image)


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (Debian's dicom3tools) is not installed")
def test_dciodvfy_finds_no_error(tmp_path: Path) -> None:
    synthetic.series(tmp_path / "series", PLANS["oblique"], **PATIENT)
    image = formats.read(tmp_path / "series")
    path = write_segmentation(tmp_path / "out.seg.dcm", masks_of(image), image)
    reported = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    errors = [line for line in (reported.stdout + reported.stderr).splitlines() if line.startswith("Error")]
    assert errors == []


def test_a_real_prostate_series(shared_data: Path, tmp_path: Path) -> None:
    folder = next(path.parent for path in sorted((shared_data / "prostatex").rglob("*.dcm")))
    image = formats.read(folder)
    mask = np.zeros(image.spatial_shape, bool)
    mask[10:30, 40:50, 2:4] = True
    read = dcmread(write_segmentation(tmp_path / "out.seg.dcm", {"prostate": mask}, image))
    by_affine = image.affine @ [*np.argwhere(mask).mean(axis=0), 1]
    np.testing.assert_allclose(centroid(read, "prostate"), by_affine[:3] * [-1, -1, 1], atol=0.05)
