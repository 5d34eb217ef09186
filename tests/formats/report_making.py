"""Structured reports of other makers for tests: by highdicom, and by hand where it has no template."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
from highdicom import sr
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

Code = sr.CodedConcept
NODULE = Code("27925004", "SCT", "Nodule")
PRESENT, ABSENT = Code("52101004", "SCT", "Present"), Code("272519000", "SCT", "Absent")
CERTAINTY, PERCENT = Code("111012", "DCM", "Certainty of Finding"), Code("%", "UCUM", "Percent")


def measured(name: Code, value: float, unit: Code, **more: Any) -> sr.Measurement:
    return sr.Measurement(name, value, unit, **more)


def group(region: Any, *, finding: Code = NODULE, tracking: str = "Lesion 1", uid: str | None = None, **more: Any) -> Any:
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid or generate_uid(), tracking),
        referenced_region=region,
        finding_type=finding,
        **more,
    )


def region(path: Path, shape: str, points: Sequence[Sequence[float]], frame: int | None = None) -> sr.ImageRegion:
    """points : (column, row) on the image of a file."""
    header = dcmread(path, stop_before_pixels=True)
    shown = sr.SourceImageForRegion(header.SOPClassUID, header.SOPInstanceUID, None if frame is None else [frame])
    return sr.ImageRegion(shape, np.asarray(points, float), shown)


def region_in_space(path: Path, shape: str, points: Sequence[Sequence[float]]) -> sr.ImageRegion3D:
    """points : LPS mm."""
    return sr.ImageRegion3D(shape, np.asarray(points, float), dcmread(path, stop_before_pixels=True).FrameOfReferenceUID)


def report(target: Path, images: Sequence[Path], groups: Sequence[Any], *, evaluations: Sequence[tuple[Code, Code]] = ()) -> Path:
    """A Comprehensive 3D SR by TID 1500."""
    device = sr.DeviceObserverIdentifyingAttributes(uid=generate_uid(), name="other")
    context = sr.ObservationContext(observer_device_context=sr.ObserverContext(codes.DCM.Device, device))
    content = sr.MeasurementReport(
        observation_context=context, procedure_reported=Code("25045-6", "LN", "CT"), imaging_measurements=list(groups)
    )
    if evaluations:
        container = sr.ContainerContentItem(
            Code("C0034375", "UMLS", "Qualitative Evaluations"), relationship_type=sr.RelationshipTypeValues.CONTAINS
        )
        container.ContentSequence = sr.ContentSequence(
            [sr.CodeContentItem(name, value, sr.RelationshipTypeValues.CONTAINS) for name, value in evaluations]
        )
        content[0].ContentSequence.append(container)
    made = sr.Comprehensive3DSR(
        evidence=[dcmread(path) for path in images],
        content=content,
        series_instance_uid=generate_uid(),
        series_number=7,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="other",
        is_complete=True,
    )
    made.save_as(target, enforce_file_format=True)
    return target


def cad_report(target: Path, image: Path, findings: Sequence[tuple[Code, float, Sequence[float]]]) -> Path:
    """A chest CAD report (TID 4100): findings with certainty in percent and an outline (column, row, …) on the library's image."""
    header = dcmread(image, stop_before_pixels=True)
    library = _item("CONTAINER", ("111028", "Image Library"), "CONTAINS", ContinuityOfContent="SEPARATE")
    shown = _item("IMAGE", None, "CONTAINS")
    shown.ReferencedSOPSequence = [_referred(header)]
    library.ContentSequence = [shown]
    singles = []
    for what, certainty, outline in findings:
        single = _item("CODE", ("111059", "Single Image Finding"), "CONTAINS")
        single.ConceptCodeSequence = [what]
        sure = _item("NUM", ("111012", "Certainty of Finding"), "HAS PROPERTIES")
        value = Dataset()
        value.NumericValue, value.MeasurementUnitsCodeSequence = str(certainty), [PERCENT]
        sure.MeasuredValueSequence = [value]
        drawn = _item("SCOORD", ("111041", "Outline"), "HAS PROPERTIES")
        drawn.GraphicType, drawn.GraphicData = "POLYLINE", list(outline)
        by_reference = Dataset()
        by_reference.RelationshipType, by_reference.ReferencedContentItemIdentifier = "SELECTED FROM", [1, 1, 1]
        drawn.ContentSequence = [by_reference]
        algorithm = _item("TEXT", ("111001", "Algorithm Name"), "HAS PROPERTIES")
        algorithm.TextValue = "OldCad"
        single.ContentSequence = [sure, drawn, algorithm]
        singles.append(single)
    summary = _item("CODE", ("111017", "CAD Processing and Findings Summary"), "CONTAINS")
    summary.ConceptCodeSequence = [Code("111242", "DCM", "All algorithms succeeded; with findings")]
    summary.ContentSequence = singles
    root = _item("CONTAINER", ("112000", "Chest CAD Report"), None, ContinuityOfContent="SEPARATE")
    root.ContentSequence = [library, summary]
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID"):
        setattr(root, keyword, header.get(keyword))
    root.SOPClassUID, root.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.88.65", generate_uid()
    root.SeriesInstanceUID, root.Modality, root.CompletionFlag = generate_uid(), "SR", "COMPLETE"
    series = Dataset()
    series.SeriesInstanceUID, series.ReferencedSOPSequence = header.SeriesInstanceUID, [_referred(header)]
    study = Dataset()
    study.StudyInstanceUID, study.ReferencedSeriesSequence = header.StudyInstanceUID, [series]
    root.CurrentRequestedProcedureEvidenceSequence = [study]
    return saved(root, target)


def saved(dataset: Dataset, target: Path) -> Path:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID, dataset.file_meta.MediaStorageSOPInstanceUID = (
        dataset.SOPClassUID,
        dataset.SOPInstanceUID,
    )
    dataset.save_as(target, enforce_file_format=True)
    return target


def capture(target: Path, image: Path, pixels: np.ndarray, *, refers: bool = True, **tags: Any) -> Path:
    """A secondary capture of (row, column, 3) uint8 beside an image, which it names where it ``refers`` to it."""
    header = dcmread(image, stop_before_pixels=True)
    made = highdicom.sc.SCImage(
        pixel_array=pixels,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        study_instance_uid=header.StudyInstanceUID,
        series_instance_uid=generate_uid(),
        series_number=8,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="other",
        patient_id=header.PatientID,
        patient_name=header.PatientName,
        patient_orientation=["L", "F"],
    )
    if refers:
        made.SourceImageSequence = [_referred(header)]
    for keyword, value in tags.items():
        setattr(made, keyword, value)
    made.save_as(target, enforce_file_format=True)
    return target


def _referred(header: Any) -> Dataset:
    named = Dataset()
    named.ReferencedSOPClassUID, named.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    return named


def _item(kind: str, name: tuple[str, str] | None, relationship: str | None, **more: Any) -> Dataset:
    item = Dataset()
    item.ValueType = kind
    if name is not None:
        item.ConceptNameCodeSequence = [Code(name[0], "DCM", name[1])]
    if relationship is not None:
        item.RelationshipType = relationship
    for keyword, value in more.items():
        setattr(item, keyword, value)
    return item
