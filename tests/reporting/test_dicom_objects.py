"""All kinds of DICOM objects together: sound by dciodvfy, of the right study, on their planes, the same for the same results."""

from __future__ import annotations

import logging
import warnings
from dataclasses import replace
from pathlib import Path

import highdicom
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import UltrasoundMultiFrameImageStorage

from casewise import formats
from casewise.errors import CasewiseError
from casewise.exchange.settings import Kind
from casewise.finding import Finding
from casewise.image import Image
from casewise.pipeline.recorded import recorded
from casewise.reporting.dicom_objects import About, Written, write_objects
from casewise.result import ModelUse, Result
from tests import dicom_studies
from tests.formats import synthetic
from tests.reporting.dicom_results import ABOUT, FINDINGS, NODULE, items, read, series

ALL: tuple[Kind, ...] = ("seg", "sr", "capture", "map")


def with_map(folder: Path, image: Image, mask: np.ndarray) -> tuple[Finding, ...]:
    """The findings, the first with a map of 0.75 under its mask, and 0.125 beside it."""
    path = formats.write(folder / "map.nii.gz", image.with_array(np.where(mask, 0.75, 0.125).astype(np.float32)[None]))
    return (replace(NODULE, map=path), *FINDINGS[1:])


def written(folder: Path, made: dicom_studies.Series) -> list[Written]:
    image = read(made)
    return write_objects(folder, image, with_map(folder, image, made.mask), {"nodule": made.mask}, ALL, about=ABOUT)


@pytest.mark.parametrize("kind", ["DX", "CR", "CT", "oblique", "negated"])
def test_dciodvfy_finds_no_error(tmp_path: Path, kind: str) -> None:
    made = series(tmp_path / "series", kind)
    objects = written(tmp_path, made)
    assert [one.kind for one in objects] == list(ALL)
    assert {one.path.name: dicom_studies.errors_in(one.path) for one in objects} == {f"results.{name}.dcm": [] for name in ALL}


@pytest.mark.parametrize("kind", ["DX", "oblique"])
def test_each_is_of_the_study_and_patient_of_its_source(tmp_path: Path, kind: str) -> None:
    made = series(tmp_path / "series", kind)
    source = dcmread(made.files[0])
    for one in written(tmp_path, made):
        built = dcmread(one.path)
        assert (one.sop_uid, one.sop_class) == (built.SOPInstanceUID, built.SOPClassUID)
        assert built.StudyInstanceUID == made.study_uid and built.SeriesInstanceUID != made.series_uid
        for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyDate", "StudyID"):
            assert built[keyword].value == source[keyword].value, (one.kind, keyword)
        assert built.SeriesNumber == {"seg": 900, "sr": 901, "capture": 902, "map": 903}[one.kind]
        assert built.SeriesDescription.startswith("casewise")


def test_uids_derive_from_content(tmp_path: Path) -> None:
    made = series(tmp_path / "series", "oblique")
    first, again = written(tmp_path / "1", made), written(tmp_path / "2", made)
    assert [one.sop_uid for one in first] == [one.sop_uid for one in again]
    assert len({one.sop_uid for one in first}) == 4
    others = written(tmp_path / "3", replace(made, mask=np.roll(made.mask, 1, axis=0)))
    assert not {one.sop_uid for one in first} & {one.sop_uid for one in others}
    assert not {one.sop_uid for one in first} & {
        one.sop_uid for one in written(tmp_path / "4", series(tmp_path / "other", "oblique"))
    }


@pytest.mark.parametrize("kind", ["oblique", "negated", "CT"])
def test_a_parametric_map_lies_on_its_planes(tmp_path: Path, kind: str) -> None:
    made = series(tmp_path / "series", kind)
    image = read(made)
    built = dcmread(next(one.path for one in written(tmp_path, made) if one.kind == "map"))
    shared = built.SharedFunctionalGroupsSequence[0]
    along = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    between = np.array(shared.PixelMeasuresSequence[0].PixelSpacing, float)
    frames = np.frombuffer(built.FloatPixelData, "<f4").reshape(-1, built.Rows, built.Columns)
    assert len(frames) == image.spatial_shape[2]
    seen = []
    for frame, group in zip(frames, built.PerFrameFunctionalGroupsSequence, strict=True):
        position = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        index = round(float((np.linalg.inv(image.affine) @ [*(position * [-1, -1, 1]), 1])[2]))
        seen.append(index)
        for row, column in ((0, 0), (20, 30)):
            place = position + column * between[1] * along[:3] + row * between[0] * along[3:]
            np.testing.assert_allclose(place * [-1, -1, 1], (image.affine @ [row, column, index, 1])[:3], atol=1e-3)
        np.testing.assert_array_equal(frame, np.where(made.mask[..., index], 0.75, 0.125))
        source = group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        assert source == dcmread(made.files[index]).SOPInstanceUID
    assert sorted(seen) == list(range(len(frames)))
    (mapping,) = shared.RealWorldValueMappingSequence
    assert (mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept, mapping.LUTLabel) == (1, 0, "CASEWISE")
    assert highdicom.imread(tmp_path / "results.map.dcm").SeriesDescription == "casewise map nodules"


def test_a_map_of_a_film_is_a_picture_of_it(tmp_path: Path) -> None:
    made = series(tmp_path / "series", "DX")
    built = dcmread(next(one.path for one in written(tmp_path, made) if one.kind == "map"))
    assert built.SOPClassUID.name == "Secondary Capture Image Storage"
    scale = built.Columns / made.mask.shape[1]
    row, column = (made.centre * scale).astype(int)
    red, _, blue = built.pixel_array[row, column].astype(int)
    assert red - blue > 80
    beside = built.pixel_array[row, built.Columns // 2].astype(int)
    assert beside[0] - beside[2] < 40


def test_a_map_off_the_grid_is_left_out(tmp_path: Path) -> None:
    made = series(tmp_path / "series", "oblique")
    image = read(made)
    turned = Image(np.zeros(image.array.shape, np.float32), image.affine @ np.diag([-1, 1, 1, 1]))
    finding = replace(NODULE, map=formats.write(tmp_path / "map.nii.gz", turned))
    assert write_objects(tmp_path, image, [finding], {}, ["map"], about=ABOUT) == []


def test_kinds_of_which_there_is_nothing(tmp_path: Path) -> None:
    made = series(tmp_path / "series", "CR")
    objects = write_objects(tmp_path, read(made), [], {"nodule": np.zeros_like(made.mask)}, ALL, about=ABOUT)
    assert [one.kind for one in objects] == ["sr", "capture"]


def test_frames_of_one_file(tmp_path: Path) -> None:
    (tmp_path / "series").mkdir()
    file = synthetic.enhanced(tmp_path / "series" / "all.dcm", synthetic.Plan(), [0, 1, 2, 3], FrameOfReferenceUID="1.2.3.9")
    mask = np.zeros((synthetic.ROWS, synthetic.COLUMNS, 4), bool)
    mask[2:5, 3:7, 2] = True
    made = dicom_studies.Series(tmp_path / "series", [file], "1.2.3", "1.2.3.4", mask, np.zeros(3))
    for one in written(tmp_path, made):
        assert dicom_studies.errors_in(one.path) == []
    built = dcmread(tmp_path / "results.map.dcm")
    frames = [
        group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber
        for group in built.PerFrameFunctionalGroupsSequence
    ]
    assert sorted(int(frame) for frame in frames) == [1, 2, 3, 4]


def test_nothing_of_the_patient_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = dicom_studies.film(
        tmp_path / "series", rows=60, columns=50, PatientName="MUELLER", PatientSex="U", PatientBirthDate="1957"
    )
    image = read(made)
    findings = with_map(tmp_path, image, made.mask)
    caplog.clear()
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        write_objects(tmp_path, image, findings, {"nodule": made.mask}, ALL, about=ABOUT)
    said = [caplog.text, *(str(one.message) for one in warned)]
    assert not any(word in line for line in said for word in ("MUELLER", "HOSP-4711", "1957"))


def test_a_loop_is_reported_by_its_frames(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (5, 40, 50), np.uint8)
    about = {"NumberOfFrames": 5, "FrameTime": "40", "Modality": "US", "SOPInstanceUID": "1.2.3.9.9"}
    file = synthetic.instance(tmp_path / "loop.dcm", frames, UltrasoundMultiFrameImageStorage, **about)
    image = formats.read(file)
    mask = np.zeros(image.spatial_shape, bool)
    mask[10:20, 10:30, 3] = True
    objects = write_objects(tmp_path, image, [replace(NODULE, map=None), *FINDINGS[1:]], {"nodule": mask}, ALL, about=ABOUT)
    assert [one.kind for one in objects] == ["sr", "capture"]
    assert [error for one in objects for error in dicom_studies.errors_in(one.path)] == []
    (item,) = items(dcmread(objects[0].path), "SCOORD")
    (named,) = item.ContentSequence[0].ReferencedSOPSequence
    assert (named.ReferencedSOPInstanceUID, named.ReferencedFrameNumber) == ("1.2.3.9.9", 4)
    assert dcmread(objects[1].path).SourceImageSequence[0].ReferencedFrameNumber == 4
    alone = formats.read(file, member="frame=2")
    (one,) = write_objects(tmp_path / "alone", alone, FINDINGS, {"nodule": mask[..., 3]}, ["sr"], about=ABOUT)
    assert items(dcmread(one.path), "SCOORD")[0].ContentSequence[0].ReferencedSOPSequence[0].ReferencedFrameNumber == 3


def test_a_class_of_an_older_standard(tmp_path: Path) -> None:
    retired = "1.2.840.10008.5.1.4.1.1.6"  # Ultrasound Image, retired
    path = synthetic.instance(tmp_path / "us.dcm", np.zeros((40, 50), np.uint8), retired, Modality="US")
    mask = np.zeros((40, 50), bool)
    mask[10:20, 10:30] = True
    for one in write_objects(tmp_path, formats.read(path), FINDINGS, {"nodule": mask}, ("sr", "capture"), about=ABOUT):
        assert f'"{retired}"' in dcmread(one.path).to_json()


def test_what_cannot_be_written(tmp_path: Path) -> None:
    made = series(tmp_path / "series", "CR")
    image = read(made)
    with pytest.raises(CasewiseError, match="grid"):
        write_objects(tmp_path, image, [NODULE], {"nodule": made.mask[:5]}, ["sr"], about=ABOUT)
    with pytest.raises(CasewiseError, match="not read from DICOM"):
        write_objects(tmp_path, Image(image.array, image.affine), [NODULE], {}, ["sr"], about=ABOUT)
    made.files[0].unlink()
    with pytest.raises(CasewiseError):
        write_objects(tmp_path, image, [NODULE], {}, ["sr"], about=ABOUT)


def test_about_a_result_and_about_what_an_archive_recorded_of_it(tmp_path: Path) -> None:
    result = Result(
        "film.dcm",
        ModelUse("none", reason="No model was used.", method="route"),
        FINDINGS,
        route={"category": "chest-xray"},
        applications=({"application": "fractures", "failure": "it took too long", "files": []},),
        notes=("A note.",),
        detects={"nodules": ("nodule",), "tuberculosis": ("tuberculosis",), "fractures": ("fracture",)},
    )
    about = About.of(result, superseded=True, predecessors=[tmp_path / "old.dcm"])
    assert about == About.recorded(recorded(result, tmp_path), superseded=True, predecessors=[tmp_path / "old.dcm"])
    assert about.headline == "Nodule, right lung, 0.81" and about.failed == ("fractures gave no answer: it took too long",)
    assert [one.label for one in about.not_found] == ["tuberculosis"] and "Pneumothorax" in about.not_looked_for


@pytest.mark.shared
def test_real_series(shared_data: Path, tmp_path: Path) -> None:
    """Of real scanners, once each: prostate MR, CT, US, CR and others that casewise reads as one picture or volume."""
    files = [*sorted((shared_data / "prostatex").rglob("*.dcm"))[:1], *sorted((shared_data / "dicom-pydicom").glob("*.dcm"))]
    names = {"693_UNCI.dcm", "MR2_UNCI.dcm", "US1_UNCI.dcm", "eCT_Supplemental.dcm", "emri_small.dcm", "SC_rgb.dcm"}
    seen = 0
    for path in files:
        if path.parent.name == "dicom-pydicom" and path.name not in names:
            continue
        image = formats.read(path.parent if path.parent.name != "dicom-pydicom" else path)
        mask = np.zeros(image.spatial_shape, bool)
        mask[tuple(slice(side // 4, max(side // 2, side // 4 + 1)) for side in image.spatial_shape)] = True
        kinds: tuple[Kind, ...] = ("sr", "capture") if image.spatial_dims == 2 else ("seg", "sr", "capture")
        for one in write_objects(tmp_path / path.stem, image, FINDINGS, {"nodule": mask}, kinds, about=ABOUT):
            assert dicom_studies.errors_in(one.path) == [], path.name
        seen += 1
    assert seen >= 6
