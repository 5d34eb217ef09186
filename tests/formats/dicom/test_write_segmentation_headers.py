"""DICOM segmentations of sources with legal, odd and de-identified headers: written, in place, and named as their source."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    NuclearMedicineImageStorage,
    RTDoseStorage,
    UltrasoundMultiFrameImageStorage,
)

import casewise
from casewise import formats
from casewise.chest.region import NAMES as REGIONS
from casewise.chest.region import OVERLAP, UNSIDED
from casewise.errors import CasewiseError
from casewise.formats.dicom.segment_descriptions import known, own_code, unique_labels
from casewise.image import Image
from tests.formats import synthetic
from tests.formats.dicom.test_write_segmentation import PATIENT, PLANS, centroid
from tests.formats.synthetic import Plan, placed

NAMES = ("肝臓", "心臓", "left_lung", "GT_W")


def corners(image: Image, names: tuple[str, ...] = NAMES) -> dict[str, np.ndarray]:
    """A block for each name, each at another place."""
    masks = {}
    for number, name in enumerate(names):
        mask = np.zeros(image.spatial_shape, bool)
        mask[tuple(slice(number % (n - 1), number % (n - 1) + 2) for n in mask.shape)] = True
        masks[name] = mask
    return masks


def check_written(folder: Path, image: Image, names: tuple[str, ...] = NAMES) -> Any:
    """The object written of the image: every segment by its label, where its mask lies, and no character that DICOM forbids."""
    masks = corners(image, names)
    path = casewise.write_segmentation(folder / "out.seg.dcm", masks, image)
    written = dcmread(path)
    assert [segment.SegmentLabel for segment in written.SegmentSequence] == list(names)
    placed_image = image.header.orientation_known is True
    for name, mask in masks.items():
        if placed_image:
            index = np.argwhere(mask).mean(axis=0)
            world = image.affine @ [*index, *([0] if mask.ndim == 2 else []), 1]
            np.testing.assert_allclose(centroid(written, name), world[:3] * [-1, -1, 1], atol=0.05)
        for number in np.flatnonzero([segment.SegmentLabel == name for segment in written.SegmentSequence]):
            groups = written.PerFrameFunctionalGroupsSequence
            of_it = [g.SegmentIdentificationSequence[0].ReferencedSegmentNumber == number + 1 for g in groups]
            frames = written.pixel_array.reshape(-1, written.Rows, written.Columns)
            assert frames[of_it].sum() == mask.sum()
    assert highdicom.seg.segread(path).number_of_segments == len(names)
    if shutil.which("dciodvfy"):
        reported = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        assert [line for line in (reported.stdout + reported.stderr).splitlines() if line.startswith("Error")] == []
    return written


def series(folder: Path, **tags: Any) -> Image:
    """A small series with these elements; None takes one away."""
    about = {**PATIENT, **tags}
    for file in synthetic.series(folder, Plan(), range(3), **{k: v for k, v in about.items() if v is not None}):
        dataset = dcmread(file)
        for keyword in [keyword for keyword, value in about.items() if value is None and keyword in dataset]:
            delattr(dataset, keyword)
        dataset.save_as(file)
    return formats.read(folder)


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["ISO_IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        ("GBK", "Wang^XiaoDong=王^小东"),
        ("ISO_IR 100", "Müller^Jürgen"),
        ("ISO_IR 144", "Люкceмбypг"),
        ("ISO_IR 192", "Τζ^Ιωάννης=山田　太郎"),
    ],
)
def test_a_name_reads_the_same_from_any_character_set(tmp_path: Path, charset: Any, name: str) -> None:
    image = series(tmp_path / "series", SpecificCharacterSet=charset, PatientName=name)
    source = dcmread(next((tmp_path / "series").iterdir()))
    assert source.PatientName == name
    written = check_written(tmp_path, image)
    assert str(written.PatientName) == name
    assert written.SpecificCharacterSet == "ISO_IR 192"


def test_escapes_that_a_decoder_leaves_are_not_part_of_a_name(tmp_path: Path) -> None:
    # The standard's own example of IR 58 (PS3.5 annex K), of which pydicom keeps the escape sequences.
    raw = b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab= "
    series(tmp_path / "series", SpecificCharacterSet=["", "ISO 2022 IR 58"], PatientName="Z" * len(raw))
    for file in (tmp_path / "series").iterdir():
        file.write_bytes(file.read_bytes().replace(b"Z" * len(raw), raw))
    written = check_written(tmp_path, formats.read(tmp_path / "series"))
    assert str(written.PatientName) == "Zhang^XiaoDong=张^小东"


@pytest.mark.parametrize(
    ("keyword", "value", "kept"),
    [
        ("PatientSex", "U", ""),
        ("PatientSex", "0000", ""),
        ("PatientSex", "O", "O"),
        ("PatientSex", "f", "F"),
        ("PatientBirthDate", "00000000", ""),
        ("PatientBirthDate", "19000101", "19000101"),
        ("PatientBirthDate", "1952.01.01", "19520101"),
        ("PatientBirthDate", "1952-01-01", "19520101"),
        ("PatientBirthDate", "01/01/1952", ""),
        ("PatientBirthDate", "19520230", ""),
        ("StudyDate", "00000000", ""),
        ("StudyDate", "20200101-20200202", ""),
        ("StudyTime", "250000", ""),
        ("StudyTime", "10:11:12", "101112"),
        ("StudyTime", "1011", "1011"),
        ("StudyTime", "101112.5", "101112.5"),
        ("StudyID", None, ""),
        ("AccessionNumber", None, ""),
        ("SliceThickness", None, None),
        ("SliceThickness", "0", None),
        ("SliceThickness", "", None),
        ("Manufacturer", "x" * 64, None),
        ("LossyImageCompression", "YES", None),
    ],
)
def test_odd_and_missing_values_do_not_keep_a_mask_from_the_archive(
    tmp_path: Path, keyword: str, value: str | None, kept: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pydicom import config

    monkeypatch.setattr(config.settings, "reading_validation_mode", config.IGNORE)
    monkeypatch.setattr(config.settings, "writing_validation_mode", config.IGNORE)
    image = series(tmp_path / "series", **{keyword: value})
    monkeypatch.undo()
    written = check_written(tmp_path, image)
    if kept is not None:
        assert written[keyword].value == kept


def test_a_thickness_is_the_sources_own(tmp_path: Path) -> None:
    for file in synthetic.series(tmp_path / "series", Plan(gap=2.5), **PATIENT):
        dataset = dcmread(file)
        dataset.SliceThickness, dataset.SpacingBetweenSlices = 4, 2.5
        dataset.save_as(file)
    written = check_written(tmp_path, formats.read(tmp_path / "series"))
    measures = written.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert (measures.SliceThickness, measures.SpacingBetweenSlices) == (4, 2.5)


def test_a_single_slice_of_no_thickness_is_written(tmp_path: Path) -> None:
    about = {**PATIENT, **placed(PLANS["oblique"], 0), "SliceThickness": ""}
    image = formats.read(synthetic.instance(tmp_path / "a.dcm", synthetic.pixels(0), CTImageStorage, **about))
    check_written(tmp_path, image)


def test_placed_slices_without_a_frame_of_reference_share_one_of_their_series(tmp_path: Path) -> None:
    image = series(tmp_path / "series", FrameOfReferenceUID=None)
    first, again = (check_written(tmp_path, image).FrameOfReferenceUID for _ in range(2))
    assert first == again
    other = series(tmp_path / "other", FrameOfReferenceUID=None, SeriesInstanceUID="1.2.3.5")
    assert check_written(tmp_path, other).FrameOfReferenceUID != first


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_uids_are_referred_to_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pydicom import config

    monkeypatch.setattr(config.settings, "writing_validation_mode", config.IGNORE)
    image = series(tmp_path / "series", StudyInstanceUID="1.2.003.0001", FrameOfReferenceUID="1.2.3.09")
    written = dcmread(casewise.write_segmentation(tmp_path / "a.seg.dcm", corners(image), image))
    assert (written.StudyInstanceUID, written.FrameOfReferenceUID) == ("1.2.003.0001", "1.2.3.09")
    referenced = written.ReferencedSeriesSequence[0]
    assert referenced.SeriesInstanceUID == "1.2.3.4"
    instances = {item.ReferencedSOPInstanceUID for item in referenced.ReferencedInstanceSequence}
    assert instances == {dcmread(file).SOPInstanceUID for file in (tmp_path / "series").iterdir()}


@pytest.mark.parametrize(
    ("sop_class", "tags"),
    [
        (ComputedRadiographyImageStorage, {"Modality": "CR"}),
        (DigitalXRayImageStorageForPresentation, {"Modality": "DX", "FrameOfReferenceUID": "1.2.3.9"}),
        (DigitalXRayImageStorageForPresentation, {"Modality": "DX", "PixelSpacing": ["0.2", "0.3"]}),
        (DigitalXRayImageStorageForPresentation, {"Modality": "DX", "ImagePositionPatient": ["0", "0", "0"]}),
        (UltrasoundMultiFrameImageStorage, {"Modality": "US", "NumberOfFrames": 1}),
        (NuclearMedicineImageStorage, {"Modality": "NM", "NumberOfFrames": 1}),
        ("1.2.840.10008.5.1.4.1.1.6", {"Modality": "US"}),
        ("1.3.12.2.1107.5.9.1", {"Modality": "OT"}),
    ],
)
def test_a_picture_without_geometry_gets_none(tmp_path: Path, sop_class: str, tags: dict[str, Any]) -> None:
    about = {**PATIENT, "FrameOfReferenceUID": "", "InstanceNumber": 1, "PatientOrientation": ["L", "F"], **tags}
    image = formats.read(synthetic.instance(tmp_path / "film.dcm", synthetic.pixels(0, 12, 10), sop_class, **about))
    written = check_written(tmp_path, image)
    assert "FrameOfReferenceUID" not in written
    assert "PixelMeasuresSequence" not in written.SharedFunctionalGroupsSequence[0]
    groups = [written.SharedFunctionalGroupsSequence[0], *written.PerFrameFunctionalGroupsSequence]
    assert not any("PlanePositionSequence" in group or "PlaneOrientationSequence" in group for group in groups)
    (source,) = written.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert (source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID) == (
        sop_class,
        dcmread(tmp_path / "film.dcm").SOPInstanceUID,
    )


def test_frames_are_referred_to_by_their_numbers(tmp_path: Path) -> None:
    path = synthetic.enhanced(tmp_path / "enhanced.dcm", PLANS["oblique"], [3, 1, 4, 0, 2], **PATIENT)
    image = formats.read(path)
    mask = np.zeros(image.spatial_shape, bool)
    mask[2:4, 2:4, 4] = True  # the last slice, which is the file's third frame
    written = dcmread(casewise.write_segmentation(tmp_path / "a.seg.dcm", {"x": mask}, image))
    (frame,) = written.PerFrameFunctionalGroupsSequence
    (source,) = frame.DerivationImageSequence[0].SourceImageSequence
    assert (source.ReferencedSOPInstanceUID, source.ReferencedFrameNumber) == (dcmread(path).SOPInstanceUID, 3)
    assert len(written.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == 1


def test_a_dose_grid_without_functional_groups_is_placed(tmp_path: Path) -> None:
    about = {**PATIENT, **placed(Plan(), 0), "Modality": "RTDOSE", "NumberOfFrames": 4, "GridFrameOffsetVector": [0, 2, 4, 6]}
    about["DoseGridScaling"] = "1"
    frames = np.stack([synthetic.pixels(k) for k in range(4)])
    image = formats.read(synthetic.instance(tmp_path / "dose.dcm", frames, RTDoseStorage, **about))
    check_written(tmp_path, image)


def test_frames_without_a_place_are_one_sentence(tmp_path: Path) -> None:
    frames = np.stack([synthetic.pixels(k) for k in range(4)])
    about = {**PATIENT, "Modality": "US", "NumberOfFrames": 4}
    image = formats.read(synthetic.instance(tmp_path / "loop.dcm", frames, UltrasoundMultiFrameImageStorage, **about))
    with pytest.raises(CasewiseError, match="frames without a place in the patient"):
        casewise.write_segmentation(tmp_path / "a.seg.dcm", corners(image), image)


def test_a_source_is_not_overwritten(tmp_path: Path) -> None:
    image = series(tmp_path / "series")
    file = next((tmp_path / "series").iterdir())
    before = file.read_bytes()
    with pytest.raises(CasewiseError, match="file of the image itself"):
        casewise.write_segmentation(str(file), corners(image), image)
    assert file.read_bytes() == before


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=90), min_size=1, max_size=6))
def test_labels_fit_dicom_and_differ(names: list[str]) -> None:
    labels = unique_labels(names)
    assert len(set(labels)) == len(labels) == len(names)
    for name, label in zip(names, labels, strict=True):
        label.encode("utf-8")
        assert 0 < len(label) <= 64
        assert "\\" not in label
        assert label.strip() == label
        assert len(own_code(name)) <= 16


def test_names_are_kept_and_other_names_have_other_codes(tmp_path: Path) -> None:
    names = ("肝臓", "心臓", "thing é", "Ä" * 64, "right ventricle", "a+b", "a-b", "RV")
    written = check_written(tmp_path, series(tmp_path / "series"), names[:3] + names[4:])
    codes = [segment.SegmentedPropertyTypeCodeSequence[0].CodeValue for segment in written.SegmentSequence]
    assert len(set(codes)) == len(codes)
    assert unique_labels(names) == list(names)
    assert unique_labels(["x" * 70, "x" * 71]) == ["x" * 64, "x" * 60 + " (2)"]
    assert own_code("right ventricle") == own_code("Right_Ventricle") != own_code("left ventricle")


@pytest.mark.parametrize("name", ["axial", "pn_jp", "no_thickness", "sex_U", "birth_zeros"])
def test_reported_headers(shared_data: Path, tmp_path: Path, name: str) -> None:
    folder = shared_data / "bug-reports" / "seg" / name
    written = check_written(tmp_path, formats.read(folder))
    assert str(written.PatientName) == str(dcmread(next(folder.iterdir())).PatientName)


def test_every_region_of_a_chest_radiograph_has_a_standard_code() -> None:
    """Both definitions of a lung are the same organ, whose side the code says; a clavicle's side stands in its label."""
    codes = {}
    for name in (*REGIONS, *UNSIDED.values()):
        if name != OVERLAP:
            described = known(name)
            assert described is not None, name
            codes[name] = described[1]
    assert {scheme for _, scheme, _ in codes.values()} == {"SCT"}
    assert codes["left_lung_full"] == codes["left_lung"] != codes["right_lung"] == codes["right_lung_full"]
    assert {value for name, (value, _, _) in codes.items() if "clavicle" in name} == {"51299004"}
