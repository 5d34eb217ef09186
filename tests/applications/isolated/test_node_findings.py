"""A node's objects as findings: casewise's own come back as they were, others' are refused where they are not of the image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread

from casewise.applications.isolated.node_files import anonymised
from casewise.applications.isolated.node_findings import findings_of
from casewise.applications.isolated.node_objects import received
from casewise.applications.isolated.report_numbers import measure_name, numbers_of
from casewise.finding import ABSENT, FINDING, MEASURE, QUALITY, Finding, with_mask_names
from casewise.formats import read, read_mask, write_mask
from casewise.formats.dicom.measurement_report import Measurement
from casewise.formats.dicom.report_content import Code
from casewise.formats.dicom.write_segmentation import write_segmentation
from casewise.image import Box
from casewise.reporting.dicom_objects import About, write_objects
from tests.dicom_studies import Series, ct, errors_in, film, oblique_mr, with_element
from tests.formats.report_making import ABSENT as NOT_THERE
from tests.formats.report_making import Code as Concept
from tests.formats.report_making import group, region, report


def answered(
    out: Path, series: Series, *objects: Path, detects: tuple[str, ...] | None = None
) -> tuple[list[dict[str, Any]], list[str]]:
    out.mkdir()
    sent = {str(dcmread(path).SOPInstanceUID) for path in series.files}
    return findings_of([one for path in objects if (one := received(path))], read(series.folder), sent, out, detects)


@pytest.mark.parametrize("make", [lambda folder: oblique_mr(folder, 8), lambda folder: film(folder, rows=200, columns=160)])
def test_what_casewise_sends_comes_back_as_it_was(tmp_path: Path, make: Any) -> None:
    series = make(tmp_path / "image")
    image = read(series.folder)
    pieces = np.zeros_like(series.mask)
    pieces[2:30, 5:20], pieces[50:60, 50:60] = True, True
    masks = [write_mask(tmp_path / f"{number}.nii.gz", mask, image) for number, mask in enumerate((series.mask, pieces))]
    measures = {
        "longest_diameter_mm": 7.25,
        "volume_ml": 1.5,
        "area_px": 12.0,
        "mean_hu": -3.0,
        "ratio": 0.5,
        "heart_width_mm": 3.0,
    }
    given = [
        Finding("lungs", "nodule", 0.91, "left lung", Box.around(series.mask), masks[0], measures=measures),
        Finding("lungs", "left_lung", box=Box.around(pieces), mask=masks[1], measures={"area_mm2": 7.0}, kind=MEASURE),
        Finding("old", "tuberculosis", 0.07, kind=ABSENT),
        Finding("old", "FLAIR thing", 0.3),
        Finding("quality", "blurred", measures={"blur": 0.4}, kind=QUALITY),
        Finding("boxes", "mass", 0.5, box=Box((3,) * series.mask.ndim, (9, 8, 4)[: series.mask.ndim])),
        Finding("classes", "benign", 0.6, "right breast", scores={"benign": 0.6, "malignant": 0.4}),
    ]
    given = list(with_mask_names(given))
    by_name = {given[0].overlay: series.mask, given[1].overlay: pieces}
    (tmp_path / "objects").mkdir()
    written = write_objects(tmp_path / "objects", image, given, by_name, ["seg", "sr", "capture"], about=About("one nodule"))
    found, notes = answered(tmp_path / "out", series, *(one.path for one in written))
    assert {one["label"] for one in found} == {one.label for one in given}
    by_label = {one["label"]: one for one in found}
    for one in given:
        came = by_label[one.label]
        assert came["kind"] == one.kind
        assert came["probability"] == (None if one.probability is None else pytest.approx(one.probability))
        assert came["measures"] == pytest.approx(one.measures)
        assert came["scores"] == pytest.approx(dict(one.scores))
        assert came.get("region") == one.region
        if one.mask is not None:
            np.testing.assert_array_equal(read_mask(tmp_path / "out" / came["mask"], image), by_name[one.overlay])
        if one.label == "mass":
            assert came.get("mask") is None
            assert came["box"][:2] == [[3, 9], [3, 8]]  # a report holds a box on one slice
        elif one.box is not None:
            assert came["box"] == one.box.to_json()
    assert "It sent a picture, which is kept as picture-1.png." in notes
    assert any("run by casewise" in note for note in notes)


def test_a_report_alone_gives_the_masks_of_its_outlines(tmp_path: Path) -> None:
    series = film(tmp_path / "image", rows=200, columns=160)
    image = read(series.folder)
    finding = Finding("lungs", "nodule", 0.9, box=Box.around(series.mask), mask_name="nodule")
    (tmp_path / "objects").mkdir()
    (written,) = write_objects(tmp_path / "objects", image, [finding], {"nodule": series.mask}, ["sr"], about=About("one"))
    (found,), _ = answered(tmp_path / "out", series, written.path)
    mask = read_mask(tmp_path / "out" / found["mask"], image)
    overlap = 2 * np.count_nonzero(mask & series.mask) / (np.count_nonzero(mask) + np.count_nonzero(series.mask))
    assert overlap > 0.9


@pytest.mark.parametrize("kind", ["rectangle", "ring"])
def test_a_region_takes_the_segment_of_its_name_whatever_its_form(tmp_path: Path, kind: str) -> None:
    series = film(tmp_path / "image", rows=200, columns=160)
    image = read(series.folder)
    mask = np.zeros_like(series.mask)
    mask[50:100, 40:120] = True
    if kind == "ring":
        mask[55:95, 45:115] = False
    given = Finding("lungs", "nodule", 0.9, box=Box.around(mask), mask_name="nodule")
    (tmp_path / "objects").mkdir()
    written = write_objects(tmp_path / "objects", image, [given], {"nodule": mask}, ["seg", "sr"], about=About("one"))
    (found,), _ = answered(tmp_path / "out", series, *(one.path for one in written))
    assert found["probability"] == 0.9
    np.testing.assert_array_equal(read_mask(tmp_path / "out" / found["mask"], image), mask)


def test_pieces_of_one_finding_are_one(tmp_path: Path) -> None:
    series = film(tmp_path / "image", rows=200, columns=160)
    two = series.mask.copy()
    two[150:170, 50:70] = True
    finding = Finding("lungs", "nodule", 0.9, box=Box.around(two), mask_name="nodule")
    (tmp_path / "objects").mkdir()
    (written,) = write_objects(tmp_path / "objects", read(series.folder), [finding], {"nodule": two}, ["sr"], about=About("one"))
    (found,), _ = answered(tmp_path / "out", series, written.path)
    assert found["probability"] == 0.9
    assert read_mask(tmp_path / "out" / found["mask"], read(series.folder))[155, 60]


def test_segments_that_a_report_names_are_its_outline(tmp_path: Path) -> None:
    series = oblique_mr(tmp_path / "image", 8)
    image = read(series.folder)
    other = np.zeros_like(series.mask)
    other[2:9, 5:20, 1] = True
    seg = write_segmentation(tmp_path / "seg.dcm", {"a": series.mask, "b": other}, image)
    path = report(tmp_path / "sr.dcm", series.files, [group(region(series.files[0], "POINT", [(1, 1)]))])
    dataset = dcmread(path)
    (measured,) = dataset.ContentSequence[-1].ContentSequence
    shown = next(item for item in measured.ContentSequence if item.ValueType == "SCOORD")
    shown.ValueType = "IMAGE"
    named = shown.ContentSequence[0].ReferencedSOPSequence[0]
    named.ReferencedSOPInstanceUID, named.ReferencedSOPClassUID = dcmread(seg).SOPInstanceUID, dcmread(seg).SOPClassUID
    named.ReferencedSegmentNumber = [1, 2]
    shown.ReferencedSOPSequence = [named]
    shown.ConceptNameCodeSequence = [Concept("121191", "DCM", "Referenced Segment")]
    dataset.save_as(path)
    (found,), _ = answered(tmp_path / "out", series, path, seg)
    np.testing.assert_array_equal(read_mask(tmp_path / "out" / found["mask"], image), series.mask | other)
    assert found["label"] == "nodule"


def test_a_property_that_is_absent_says_nothing_of_the_finding(tmp_path: Path) -> None:
    from highdicom import sr

    series = film(tmp_path / "image", rows=60, columns=50)
    drawn = region(series.files[0], "POINT", [(10, 20)])
    properties = [sr.QualitativeEvaluation(Concept("CALC", "99OTHER", "Calcification"), NOT_THERE)]
    itself = [sr.QualitativeEvaluation(Concept("27925004", "SCT", "Nodule"), NOT_THERE)]
    groups = [group(drawn, qualitative_evaluations=properties), group(drawn, tracking="2", qualitative_evaluations=itself)]
    found, notes = answered(tmp_path / "out", series, report(tmp_path / "sr.dcm", series.files, groups))
    assert [one["kind"] for one in found] == [FINDING, ABSENT]
    assert "nodule: Calcification Absent." in notes


def test_groups_of_other_images_are_left_out(tmp_path: Path) -> None:
    series, other = film(tmp_path / "a", rows=60, columns=50), film(tmp_path / "b", rows=60, columns=50)
    groups = [group(region(one.files[0], "POINT", [(10, 20)]), tracking=name) for one, name in ((series, "1"), (other, "2"))]
    found, notes = answered(tmp_path / "out", series, report(tmp_path / "sr.dcm", [*series.files, *other.files], groups))
    assert len(found) == 1
    assert "Its report has 1 groups of other images, which are left out." in notes


def test_a_report_on_a_frame_of_a_loop(tmp_path: Path) -> None:
    series, other = film(tmp_path / "a", rows=60, columns=50), film(tmp_path / "b", rows=60, columns=50)
    loop = dcmread(series.files[0])
    loop.SOPClassUID = loop.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.3.1"
    loop.Modality, loop.NumberOfFrames, loop.FrameTime = "US", 3, "40"
    loop.PixelData = 3 * loop.PixelData
    loop.save_as(series.files[0])
    groups = [
        group(region(one.files[0], "POINT", [(10, 20)], frame), tracking=name)
        for one, frame, name in ((series, 2, "1"), (other, None, "2"))
    ]
    found, notes = answered(tmp_path / "out", series, report(tmp_path / "sr.dcm", [*series.files, *other.files], groups))
    assert [(one["label"], one["box"]) for one in found] == [("nodule", [[20, 21], [10, 11], [1, 2]])]
    assert "Its report has 1 groups of other images, which are left out." in notes


def test_labels_that_the_declaration_detects_are_signs_of_disease(tmp_path: Path) -> None:
    series = oblique_mr(tmp_path / "image", 8)
    seg = write_segmentation(tmp_path / "seg.dcm", {"strange spot": series.mask, "lesion": series.mask}, read(series.folder))
    found, _ = answered(tmp_path / "1", series, seg)
    assert {one["label"]: one["kind"] for one in found} == {"strange spot": MEASURE, "lesion": FINDING}
    found, _ = answered(tmp_path / "2", series, seg, detects=("strange spot",))
    assert {one["label"]: one["kind"] for one in found} == {"strange spot": FINDING, "lesion": MEASURE}


def test_what_is_of_no_known_kind_is_kept_as_it_is(tmp_path: Path) -> None:
    series = film(tmp_path / "image", rows=60, columns=50)
    one = received(series.files[0])
    assert one is not None
    found, notes = answered(tmp_path / "out", series, series.files[0])
    assert found == []
    assert notes == ["It sent an object of a kind that is not read; it is kept as object-1.dcm."]
    assert (tmp_path / "out" / "object-1.dcm").read_bytes() == series.files[0].read_bytes()


@pytest.mark.parametrize(
    ("name", "unit", "value", "expected"),
    [
        (("118565006", "SCT", "Volume"), ("cm3", "UCUM", "cubic centimeter"), 3.0, {"volume_ml": 3.0}),
        (("112031", "DCM", "Attenuation Coefficient"), ("[hnsf'U]", "UCUM", "HU"), -40.0, {"attenuation_coefficient_hu": -40.0}),
        (("X", "99X", "Größe über alles"), ("mm", "UCUM", "mm"), 2.0, {"größe_über_alles_mm": 2.0}),
        (("X", "99X", ""), ("m/s/{a}", "UCUM", "odd"), 2.0, {"x_m_s_a": 2.0}),
        (("X", "99X", "Probability of malignancy"), ("%", "UCUM", "%"), 250.0, {"probability_of_malignancy_percent": 250.0}),
    ],
)
def test_names_of_measures_end_in_their_unit(name: Any, unit: Any, value: float, expected: dict[str, float]) -> None:
    assert numbers_of([Measurement(Code(*name), value, Code(*unit))]) == (None, {}, expected)


def test_a_derivation_stands_before_the_name() -> None:
    one = Measurement(Code("A", "B", "Diameter"), 3.0, Code("mm", "UCUM", "mm"), Code("373098007", "SCT", "Mean"))
    assert measure_name(one) == "mean_diameter_mm"
    assert measure_name(replace(one, unit=None)) == "mean_diameter"


def volumetric(target: Path, series: Series, seg: Path, *, frame: bool) -> Path:
    """A report by highdicom on segment 2 of a segmentation: of the whole volume (TID 1411), or of one of its frames (TID 1410)."""
    from highdicom import sr
    from pydicom.uid import generate_uid

    dataset = dcmread(seg)
    number = next(
        number
        for number, group in enumerate(dataset.PerFrameFunctionalGroupsSequence, start=1)
        if group.SegmentIdentificationSequence[0].ReferencedSegmentNumber == 2
    )
    about = {
        "tracking_identifier": sr.TrackingIdentifier(generate_uid(), "Lesion 2"),
        "finding_type": Concept("52988006", "SCT", "Lesion"),
        "finding_sites": [
            sr.FindingSite(
                Concept("39607008", "SCT", "Lung"), laterality=Concept("7771000", "SCT", "Left"), topographical_modifier=None
            )
        ],
        "measurements": [
            sr.Measurement(
                Concept("112031", "DCM", "Attenuation Coefficient"),
                -12.5,
                Concept("[hnsf'U]", "UCUM", "Hounsfield unit"),
                derivation=Concept("373098007", "SCT", "Mean"),
            )
        ],
    }
    if frame:
        shown = sr.ReferencedSegmentationFrame.from_segmentation(dataset, frame_number=number)
        made = sr.PlanarROIMeasurementsAndQualitativeEvaluations(referenced_segment=shown, **about)
    else:
        shown = sr.ReferencedSegment.from_segmentation(dataset, segment_number=2)
        made = sr.VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_segment=shown, **about)
    return report(target, [*series.files, seg], [made])


@pytest.mark.parametrize("frame", [False, True])
def test_highdicom_s_groups_on_segments(tmp_path: Path, frame: bool) -> None:
    series = oblique_mr(tmp_path / "image", 8)
    image = read(series.folder)
    other = np.zeros_like(series.mask)
    other[2:9, 5:20, 1:3] = True
    seg = write_segmentation(tmp_path / "seg.dcm", {"a": series.mask, "b": other}, image)
    path = volumetric(tmp_path / "sr.dcm", series, seg, frame=frame)
    found, _ = answered(tmp_path / "out", series, path, seg)
    assert [one["label"] for one in found] == ["lesion", "a"]
    lesion = found[0]
    np.testing.assert_array_equal(read_mask(tmp_path / "out" / lesion["mask"], image), other)
    assert lesion["measures"] == {"mean_attenuation_coefficient_hu": -12.5}
    assert lesion["region"] == "left lung"


def test_a_report_of_text_alone_is_kept_with_a_note(tmp_path: Path) -> None:
    from pydicom.data import get_testdata_file

    series = film(tmp_path / "image", rows=60, columns=50)
    found, notes = answered(tmp_path / "out", series, Path(str(get_testdata_file("test-SR.dcm"))))
    assert found == []
    assert notes == ["Its report holds neither measurement groups nor evaluations."]
    assert (tmp_path / "out" / "report-1.dcm").exists()


@pytest.mark.parametrize("kind", ["film", "cr", "mr", "ct"])
def test_copies_without_the_patient_s_name_are_sound(tmp_path: Path, kind: str) -> None:
    tags = {
        "OtherPatientIDs": ["HOSP-4711", "X"],
        "PatientAddress": "HOSP-4711 street",
        "ReferringPhysicianName": "Doe^HOSP-4711",
        "InstitutionName": "HOSP-4711",
        "AccessionNumber": "HOSP-4711",
        "OperatorsName": "HOSP-4711",
        "Allergies": "HOSP-4711",
        "StationName": "HOSP-4711",
    }
    series = {
        "film": lambda: film(tmp_path / "i", rows=60, columns=50, **tags),
        "cr": lambda: film(tmp_path / "i", rows=60, columns=50, modality="CR", **tags),
        "mr": lambda: oblique_mr(tmp_path / "i", 2, **tags),
        "ct": lambda: ct(tmp_path / "i", 2, **tags),
    }[kind]()
    private = dcmread(series.files[0])
    private.private_block(0x0011, "MAKER", create=True).add_new(1, "LO", "HOSP-4711")
    private.save_as(tmp_path / "p.dcm")
    copy = anonymised(tmp_path / "p.dcm", tmp_path / "copy.dcm")
    assert errors_in(copy) == []
    content = copy.read_bytes()
    assert b"HOSP-4711" not in content
    assert "Müller".encode() not in content
    assert dcmread(copy).SOPInstanceUID == private.SOPInstanceUID
    np.testing.assert_array_equal(dcmread(copy).pixel_array, private.pixel_array)


def test_a_sent_copy_of_an_old_file_has_neither_group_lengths_nor_unknown_elements_of_the_patient(tmp_path: Path) -> None:
    source = film(tmp_path / "i", rows=60, columns=50).files[0]
    for tag in (0x00080000, 0x00100000, 0x00200000):
        with_element(source, tag, "UL", bytes((99, 0, 0, 0)))
    with_element(source, 0x00100015, "LO", b"HOSP-4711 ")
    copy = anonymised(source, tmp_path / "copy.dcm")
    assert errors_in(copy) == []
    assert b"HOSP-4711" not in copy.read_bytes()
    found, before = dcmread(copy), dcmread(source)
    assert not {0x00080000, 0x00100000, 0x00200000, 0x00100015} & set(found.keys())
    assert found.SOPInstanceUID == before.SOPInstanceUID
    np.testing.assert_array_equal(found.pixel_array, before.pixel_array)
