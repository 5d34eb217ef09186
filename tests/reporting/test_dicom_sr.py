"""Structured reports: what they say, where findings lie by the report's own coordinates, and what other programs make of them."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage

from casewise.errors import CasewiseError
from casewise.finding import ABSENT, MEASURE, Finding
from casewise.image import Box
from casewise.reporting.dicom_objects import About, write_objects
from casewise.summary import LookedFor
from tests import dicom_studies
from tests.formats import synthetic
from tests.programs import missing
from tests.reporting.dicom_results import ABOUT, FINDINGS, NODULE, area_and_centroid, items, numbers, points, read, series, texts


def report(folder: Path, made: Any, findings: Any = FINDINGS, masks: Any = None, about: About = ABOUT) -> Any:
    masks = {"nodule": made.mask} if masks is None else masks
    (written,) = write_objects(folder, read(made), findings, masks, ["sr"], about=about)
    return dcmread(written.path)


@pytest.mark.parametrize("kind", ["DX", "CR", "CT", "oblique", "negated"])
def test_dciodvfy_finds_no_error(tmp_path: Path, kind: str) -> None:
    made = series(tmp_path / "series", kind)
    report(tmp_path, made)
    assert dicom_studies.errors_in(tmp_path / "results.sr.dcm") == []


@pytest.mark.parametrize("kind", ["oblique", "negated"])
def test_the_line_in_space_lies_around_the_mask(tmp_path: Path, kind: str) -> None:
    made = series(tmp_path / "series", kind)
    image, built = read(made), report(tmp_path, made)
    assert built.SOPClassUID == Comprehensive3DSRStorage
    (item,) = items(built, "SCOORD3D")
    source = dcmread(made.files[0])
    assert item.GraphicType == "POLYLINE" and item.ReferencedFrameOfReferenceUID == source.FrameOfReferenceUID
    line = points(item)
    np.testing.assert_array_equal(line[0], line[-1])
    index = int(np.argmax(made.mask.sum(axis=(0, 1))))
    plane = np.argwhere(made.mask[..., index])
    centre = (image.affine @ [*plane.mean(axis=0), index, 1])[:3] * [-1, -1, 1]
    area, centroid = area_and_centroid(line)
    assert np.linalg.norm(centroid - centre) < 0.5 * min(image.spacing)
    assert area == pytest.approx(len(plane) * image.spacing[0] * image.spacing[1], rel=0.1)


def test_the_line_on_slices_of_square_pixels_is_in_their_pixels(tmp_path: Path) -> None:
    made = series(tmp_path / "series", "CT")
    built = report(tmp_path, made)
    assert built.SOPClassUID == ComprehensiveSRStorage
    (item,) = items(built, "SCOORD")
    (shown,) = item.ContentSequence
    named = shown.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    (slice_,) = [one for one in map(dcmread, made.files) if one.SOPInstanceUID == named]
    _, (column, row) = area_and_centroid(points(item))
    axes, spacing = np.reshape(slice_.ImageOrientationPatient, (2, 3)).astype(float), np.array(slice_.PixelSpacing, float)
    found = (
        np.array(slice_.ImagePositionPatient, float) + (row - 0.5) * spacing[0] * axes[1] + (column - 0.5) * spacing[1] * axes[0]
    )
    image, index = read(made), int(np.argmax(made.mask.sum(axis=(0, 1))))
    plane = np.argwhere(made.mask[..., index])
    centre = (image.affine @ [*plane.mean(axis=0), index, 1])[:3] * [-1, -1, 1]
    assert np.linalg.norm(found - centre) < 0.5 * min(image.spacing)


def test_the_line_on_a_film_is_in_its_pixels_columns_first(tmp_path: Path) -> None:
    made = series(tmp_path / "series", "DX")
    built = report(tmp_path, made)
    assert built.SOPClassUID == ComprehensiveSRStorage
    (item,) = items(built, "SCOORD")
    (shown,) = item.ContentSequence
    assert shown.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == dcmread(made.files[0]).SOPInstanceUID
    area, centroid = area_and_centroid(points(item))
    # DICOM counts from the outer corner of the first pixel, whose centre so is (0.5, 0.5).
    np.testing.assert_allclose(centroid, made.centre[::-1] + 0.5, atol=0.5)
    assert area == pytest.approx(made.mask.sum(), rel=0.05)


def test_a_box_is_framed_at_its_outer_corners(tmp_path: Path) -> None:
    boxed = [Finding("a", "opacity", 0.5, box=Box((10, 20), (30, 50)))]
    built = report(tmp_path, series(tmp_path / "series", "CR"), boxed, {})
    (item,) = items(built, "SCOORD")
    np.testing.assert_array_equal(points(item), [[20, 10], [50, 10], [50, 30], [20, 30], [20, 10]])


def test_planes_without_a_frame_of_reference_are_marked_in_their_pixels(tmp_path: Path) -> None:
    made = dicom_studies.oblique_mr(tmp_path / "series", 6, FrameOfReferenceUID=None)
    (item,) = items(report(tmp_path, made), "SCOORD")
    index = int(np.argmax(made.mask.sum(axis=(0, 1))))
    named = item.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert named == dcmread(made.files[index]).SOPInstanceUID


def test_frames_of_one_file(tmp_path: Path) -> None:
    (tmp_path / "series").mkdir()
    file = synthetic.enhanced(tmp_path / "series" / "all.dcm", synthetic.Plan(), [0, 1, 2, 3], SOPInstanceUID="1.2.3.4.5")
    mask = np.zeros((synthetic.ROWS, synthetic.COLUMNS, 4), bool)
    mask[2:5, 3:7, 2] = True
    made = dicom_studies.Series(tmp_path / "series", [file], "1.2.3", "1.2.3.4", mask, np.zeros(3))
    (item,) = items(report(tmp_path, made), "SCOORD")
    (named,) = item.ContentSequence[0].ReferencedSOPSequence
    assert (named.ReferencedSOPInstanceUID, named.ReferencedFrameNumber) == ("1.2.3.4.5", 3)
    np.testing.assert_allclose(area_and_centroid(points(item))[1], [5, 3.5], atol=0.01)


def test_two_pieces_are_two_groups_that_are_followed_apart(tmp_path: Path) -> None:
    made = series(tmp_path / "series", "CT")
    mask = np.zeros(made.mask.shape, bool)
    mask[5:20, 5:20, 4] = mask[30:40, 30:40, 4] = mask[50, 50, 4] = True
    built = report(tmp_path, made, [replace(NODULE, label="lungs")], {"lungs": mask})
    first, second = items(built, "CONTAINER", "Measurement Group")
    assert numbers(first) and not numbers(second)
    assert len({item.UID for item in items(built, "UIDREF", "Tracking Unique Identifier")}) == 2
    centres = [area_and_centroid(points(item))[1] for item in items(built, "SCOORD")]
    np.testing.assert_allclose(centres, [(12.5, 12.5), (35, 35)], atol=0.1)


def test_a_border_of_many_points_is_shortened(tmp_path: Path) -> None:
    made = dicom_studies.film(tmp_path / "series", rows=1000, columns=1200)
    comb = np.zeros((1000, 1200), bool)
    comb[20:900, 20:1180:2] = comb[20:22, 20:1180] = True
    built = report(tmp_path, made, masks={"nodule": comb})
    assert len(points(items(built, "SCOORD")[0])) <= 1000


def test_highdicom_reads_what_was_measured(tmp_path: Path) -> None:
    report(tmp_path, series(tmp_path / "series", "oblique"))
    read_back = highdicom.sr.srread(tmp_path / "results.sr.dcm")
    (group,) = read_back.content.get_planar_roi_measurement_groups()
    assert group.finding_type.meaning == "Nodule" and group.finding_sites[0].value.meaning == "Right Lung"
    measured = {one.name.meaning: (one.value, one.unit.value) for one in group.get_measurements()}
    assert measured == {"Certainty of Finding": (81.25, "%"), "Volume": (4.5, "ml"), "Long Axis": (7.2, "mm")}
    (kind,) = group.get_qualitative_evaluations()
    assert (kind.name.meaning, kind.value.meaning) == ("Kind of Statement", "Present")
    (observer,) = read_back.content.get_observer_contexts()
    assert observer.observer_identifying_attributes.name == "casewise"


def test_findings_without_a_place_are_evaluations(tmp_path: Path) -> None:
    built = report(tmp_path, series(tmp_path / "series", "DX"))
    (evaluations,) = items(built, "CONTAINER", "Qualitative Evaluations")
    (absent,) = items(evaluations, "CODE", "Tuberculosis")
    assert absent.ConceptCodeSequence[0].CodeMeaning == "Absent"
    assert numbers(absent) == {"Certainty of Finding": (3.0, "%")}
    assert texts(absent)[0] == "tuberculosis"
    (noise,) = items(evaluations, "CODE", "Noise")
    assert noise.ConceptCodeSequence[0].CodeMeaning == "Image Quality" and numbers(noise) == {"Noise": (3.25, "%")}


def test_nothing_found(tmp_path: Path) -> None:
    looked = (
        LookedFor("pneumothorax", "chest", False, 0.02),
        LookedFor("any nodule", "nodules", False),
        LookedFor("tuberculosis", "tuberculosis", False),
    )
    about = About(
        "Looked for and not found: pneumothorax, nodule", not_found=looked, not_looked_for="No application here reads for more."
    )
    built = report(tmp_path, series(tmp_path / "series", "DX"), FINDINGS[1:2], {}, about)
    assert items(built, "CONTAINER", "Imaging Measurements") == []
    absent = [
        item.ConceptNameCodeSequence[0].CodeMeaning
        for item in items(built, "CODE")
        if item.ConceptCodeSequence[0].CodeMeaning == "Absent"
    ]
    assert absent == ["Tuberculosis", "Pneumothorax", "Any nodule"]
    assert texts(items(built, "CONTAINER", "Qualitative Evaluations")[0])[:2] == [about.headline, about.not_looked_for]
    assert dicom_studies.errors_in(tmp_path / "results.sr.dcm") == []
    assert highdicom.sr.srread(tmp_path / "results.sr.dcm").content.get_planar_roi_measurement_groups() == []


def test_what_is_said_beside_the_findings(tmp_path: Path) -> None:
    built = report(tmp_path, series(tmp_path / "series", "DX"))
    said = texts(items(built, "CONTAINER", "Qualitative Evaluations")[0])
    assert said[:4] == [ABOUT.headline, *ABOUT.notes, "The model was used as it is.", "casewise, research only, not verified"]
    assert (built.VerificationFlag, built.CompletionFlag, built.PreliminaryFlag) == ("UNVERIFIED", "COMPLETE", "PRELIMINARY")
    assert (built.SeriesNumber, built.SeriesDescription, built.Modality) == (901, "casewise report", "SR")
    failed = report(
        tmp_path, series(tmp_path / "series", "DX"), about=replace(ABOUT, failed=("nodules gave no answer: it took too long.",))
    )
    assert failed.CompletionFlag == "PARTIAL" and "nodules gave no answer: it took too long." in texts(failed)


def test_a_report_that_replaces_another_names_it(tmp_path: Path) -> None:
    made = series(tmp_path / "series", "CT")
    earlier = report(tmp_path / "1", made)
    about = replace(ABOUT, superseded=True, predecessors=(tmp_path / "1" / "results.sr.dcm",))
    later = report(tmp_path / "2", made, about=about)
    assert "This report replaces an earlier one of casewise." in texts(later)
    assert later.SOPInstanceUID != earlier.SOPInstanceUID
    (named,) = later.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert named.ReferencedSOPInstanceUID == earlier.SOPInstanceUID
    report(tmp_path / "1", made, FINDINGS[:1])
    assert report(tmp_path / "2", made, about=about).SOPInstanceUID != later.SOPInstanceUID
    assert dicom_studies.errors_in(tmp_path / "2" / "results.sr.dcm") == []
    with pytest.raises(CasewiseError, match="cannot be read"):
        report(tmp_path / "3", made, about=replace(about, predecessors=(tmp_path / "gone.dcm",)))


def test_uids_derive_from_content(tmp_path: Path) -> None:
    made = series(tmp_path / "series", "oblique")
    first, again = report(tmp_path / "1", made), report(tmp_path / "2", made)
    assert (first.SOPInstanceUID, first.SeriesInstanceUID) == (again.SOPInstanceUID, again.SeriesInstanceUID)
    moved = np.roll(made.mask, 1, axis=0)
    others = [
        report(tmp_path / "3", made, [replace(NODULE, probability=0.8), *FINDINGS[1:]]),
        report(tmp_path / "4", made, masks={"nodule": moved}),
        report(tmp_path / "5", made, about=replace(ABOUT, notes=())),
        report(tmp_path / "6", series(tmp_path / "other", "oblique")),
    ]
    uids = [one.SOPInstanceUID for one in (first, *others)] + [one.SeriesInstanceUID for one in (first, *others)]
    assert len(set(uids)) == 10
    tracked = [[item.UID for item in items(one, "UIDREF", "Tracking Unique Identifier")] for one in (first, again, others[0])]
    assert tracked[0] == tracked[1] != tracked[2]


def test_a_mask_of_another_finding_is_not_taken(tmp_path: Path) -> None:
    made = series(tmp_path / "series", "CT")
    others = [replace(NODULE, mask_name="nodule"), Finding("second", "nodule", 0.4)]
    assert len(items(report(tmp_path, made, others), "SCOORD")) == 1


def test_any_script_and_odd_figures(tmp_path: Path) -> None:
    odd = [
        Finding("ünïcode", "lésion 肺" * 40, 0.5, box=Box((0, 0), (300, 250)), measures={"größe_mm": 3.5, "lost_ml": float("nan")}),
        Finding("b", "a\\b\n\ud800", float("inf"), kind="unheard of", scores={"malignant": 0.25}),
        Finding(
            "c", "ratio", kind=MEASURE, measures={"cardiothoracic_ratio": 0.5123456789, "": 1.0, "tiny_mm": 1e-9, "huge_px": 1.5e12}
        ),
        Finding("d", "e", kind=ABSENT, region="  "),
    ]
    built = report(tmp_path, series(tmp_path / "series", "DX"), odd, {})
    figures = numbers(built)
    assert figures["Größe"] == (3.5, "mm") and figures["Probability of malignant"] == (25.0, "%")
    assert (
        figures["Cardiothoracic ratio"] == (0.5123456789, "1")
        and figures["Huge"] == (1.5e12, "{pixels}")
        and figures["Tiny"] == (1e-9, "mm")
    )
    assert "Lost" not in figures
    assert dicom_studies.errors_in(tmp_path / "results.sr.dcm") == []
    assert built.PatientName == "Müller^Änne" and items(built, "TEXT", "Tracking Identifier")[0].TextValue.startswith("lésion 肺")


@pytest.mark.parametrize("program", ["dsrdump", "dcsrdump"])
def test_other_programs_read_it(tmp_path: Path, program: str) -> None:
    if shutil.which(program) is None:
        missing(program)
    report(tmp_path, series(tmp_path / "series", "oblique"))
    ran = subprocess.run([program, str(tmp_path / "results.sr.dcm")], capture_output=True, timeout=120, check=False)
    shown = (ran.stdout + ran.stderr).decode("utf-8", "replace")
    assert ran.returncode == 0 and "Long Axis" in shown and "POLYLINE" in shown


def test_headers_without_sound_values(tmp_path: Path) -> None:
    made = dicom_studies.film(
        tmp_path / "series",
        rows=60,
        columns=50,
        PatientSex="U",
        StudyDate="",
        PatientBirthDate="00000000",
        StudyID=None,
        PatientName="",
    )
    built = report(tmp_path, made)
    assert built.PatientSex == "" and built.PatientID == "HOSP-4711"
    assert dicom_studies.errors_in(tmp_path / "results.sr.dcm") == []


def test_a_film_without_a_study_is_refused(tmp_path: Path) -> None:
    made = dicom_studies.film(tmp_path / "series", rows=60, columns=50, StudyInstanceUID=None)
    with pytest.raises(CasewiseError, match="StudyInstanceUID"):
        report(tmp_path, made)
