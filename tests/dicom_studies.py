"""Sound DICOM series for tests, in which dciodvfy finds no error: radiographs, an oblique MR, a CT, a study of several series."""

from __future__ import annotations

import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)
from pydicom.valuerep import format_number_as_ds

from tests.programs import missing

PATIENT = {"PatientName": "Müller^Änne", "PatientID": "HOSP-4711", "PatientBirthDate": "19570321", "PatientSex": "F"}


@dataclass(frozen=True)
class Series:
    """files : in the order of the slices. mask : of the bright structure, (row, column[, slice]), slices in the order of ``files``,
    which is casewise's own of its volumes too. centre : of the structure: LPS mm of a volume, (row, column) of a film.
    """

    folder: Path
    files: list[Path]
    study_uid: str
    series_uid: str
    mask: np.ndarray
    centre: np.ndarray


def film(
    folder: Path,
    array: np.ndarray | None = None,
    *,
    rows: int = 3000,
    columns: int = 2500,
    modality: str = "DX",
    study_uid: str | None = None,
    series_uid: str | None = None,
    sop_uid: str | None = None,
    series_number: int = 1,
    sender: str = "MODALITY",
    name: str = "film.dcm",
    **tags: Any,
) -> Series:
    """A frontal chest film of 16 bits (or ``array``, (rows, columns) of uint16), ``modality`` DX or CR, of 0.14 mm a pixel.

    Without an array: dark lungs, and a bright disc in the right lung (left in the picture).
    """
    study_uid, series_uid = study_uid or generate_uid(), series_uid or generate_uid()
    if array is not None:
        rows, columns = array.shape
    down, right = np.mgrid[:rows, :columns].astype(np.float32)
    mask = np.hypot(down - 0.4 * rows, right - 0.3 * columns) < 0.03 * min(rows, columns)
    if array is None:
        array = np.full((rows, columns), 2600, np.float32)
        for centre in (0.3, 0.7):
            array[np.hypot((down - 0.45 * rows) / (0.33 * rows), (right - centre * columns) / (0.17 * columns)) < 1] = 900
        array = array + 40 * np.sin(down / 17) * np.cos(right / 13)
        array[mask] += 1200
        array = np.rint(array).astype(np.uint16)
    item = _instance(modality, study_uid, series_uid, series_number, 1, sop_uid)
    item.ImageType = ["ORIGINAL", "PRIMARY"] if modality == "CR" else ["ORIGINAL", "PRIMARY", ""]
    item.PatientOrientation, item.BodyPartExamined, item.ViewPosition = ["L", "F"], "CHEST", "PA"
    item.ImagerPixelSpacing = ["0.14", "0.14"]
    item.WindowCenter, item.WindowWidth = "2048", "4096"
    _pixels(item, array, stored=12)
    if modality == "CR":
        item.SOPClassUID = ComputedRadiographyImageStorage
        item.PixelSpacing = item.ImagerPixelSpacing
    else:
        _digital(item)
    _set(item, tags)
    return Series(folder, [_write(item, folder / name, sender)], study_uid, series_uid, mask, np.argwhere(mask).mean(axis=0))


def oblique_mr(
    folder: Path,
    slices: int = 24,
    *,
    rows: int = 64,
    columns: int = 80,
    spacing: tuple[float, float] = (1.5, 1.2),
    gap: float = 4.0,
    orientation: tuple[float, ...] | None = None,
    study_uid: str | None = None,
    series_uid: str | None = None,
    frame_uid: str | None = None,
    series_number: int = 2,
    sender: str = "MODALITY",
    **tags: Any,
) -> Series:
    """A MR volume in an oblique orientation of anisotropic voxels (mm between rows, between columns), with a bright ellipsoid.

    orientation : six direction cosines, LPS, in another's place.
    """
    right, down = _turned() if orientation is None else (np.array(orientation[:3]), np.array(orientation[3:]))
    return _volume(
        "MR",
        folder,
        (rows, columns, slices),
        (right, down, np.cross(right, down) * gap),
        spacing,
        np.array([-40.0, -35.5, 12.25]),
        (study_uid or generate_uid(), series_uid or generate_uid(), frame_uid or generate_uid()),
        series_number,
        sender,
        tags,
    )


def ct(
    folder: Path,
    slices: int = 12,
    *,
    rows: int = 64,
    columns: int = 64,
    spacing: tuple[float, float] = (3.0, 3.0),
    gap: float = 5.0,
    study_uid: str | None = None,
    series_uid: str | None = None,
    frame_uid: str | None = None,
    series_number: int = 3,
    sender: str = "MODALITY",
    **tags: Any,
) -> Series:
    """An axial CT in Hounsfield units, with a bright ellipsoid."""
    right, down = np.array([1.0, 0, 0]), np.array([0, 1.0, 0])
    return _volume(
        "CT",
        folder,
        (rows, columns, slices),
        (right, down, np.array([0, 0, gap])),
        spacing,
        np.array([-96.0, -96.0, -30.0]),
        (study_uid or generate_uid(), series_uid or generate_uid(), frame_uid or generate_uid()),
        series_number,
        sender,
        tags,
    )


def study(folder: Path, *, study_uid: str | None = None, sender: str = "MODALITY", **tags: Any) -> list[Series]:
    """Three series of one study and patient, each in a folder of its own: two MR series of one frame of reference, and a CT."""
    study_uid, frame_uid = study_uid or generate_uid(), generate_uid()
    return [
        oblique_mr(folder / "mr", 8, study_uid=study_uid, frame_uid=frame_uid, series_number=2, sender=sender, **tags),
        oblique_mr(folder / "mr2", 6, study_uid=study_uid, frame_uid=frame_uid, series_number=3, sender=sender, **tags),
        ct(folder / "ct", 10, study_uid=study_uid, series_number=4, sender=sender, **tags),
    ]


def errors_in(path: Path) -> list[str]:
    """The errors that dciodvfy finds in a file; the test is skipped where dicom3tools are not installed."""
    if shutil.which("dciodvfy") is None:
        missing("dciodvfy (Debian's dicom3tools)")
    reported = subprocess.run(["dciodvfy", str(path)], capture_output=True, timeout=120, check=False)
    lines = (reported.stdout + reported.stderr).decode("utf-8", "replace").splitlines()
    return [line for line in lines if line.startswith("Error")]


def with_element(path: Path, tag: int, vr: str, value: bytes) -> Path:
    """Put an element into a file, in the place of one of that tag: what pydicom does not write (group lengths, damaged values).

    vr : a representation whose length has two bytes.
    """
    header, data = dcmread(path), path.read_bytes()
    following = next(one for one in sorted(header.keys()) if one >= tag)
    raw = header.get_item(following)
    value_at = raw.value_tell if raw.is_raw else raw.file_tell
    start = value_at - (12 if raw.VR in ("OB", "OW", "SQ", "UN", "UT") else 8)
    end = value_at + raw.length if following == tag else start
    element = struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), len(value)) + value
    path.write_bytes(data[:start] + element + data[end:])
    return path


def _turned() -> tuple[np.ndarray, np.ndarray]:
    """Directions of the rows and of the columns of an oblique plane."""
    a, b = np.radians(25.0), np.radians(-17.0)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    turned = about_x @ about_z
    return turned[:, 0], turned[:, 1]


def _volume(
    modality: str,
    folder: Path,
    shape: tuple[int, int, int],
    axes: tuple[np.ndarray, np.ndarray, np.ndarray],
    spacing: tuple[float, float],
    first: np.ndarray,
    uids: tuple[str, str, str],
    series_number: int,
    sender: str,
    tags: dict[str, Any],
) -> Series:
    rows, columns, slices = shape
    right, down, step = axes
    study_uid, series_uid, frame_uid = uids
    at = np.mgrid[:rows, :columns, :slices].astype(np.float64)
    middle, radii = np.array([0.4 * rows, 0.65 * columns, 0.4 * slices]), np.array([0.12 * rows, 0.1 * columns, 0.2 * slices])
    mask = (((at - middle[:, None, None, None]) / radii[:, None, None, None]) ** 2).sum(axis=0) < 1
    values = 300 + 40 * np.sin(at[0] / 5) * np.cos(at[1] / 4) + 3 * at[2]
    values[mask] += 500
    if modality == "CT":
        values -= 300
    files = []
    for number in range(slices):
        item = _instance(modality, study_uid, series_uid, series_number, number + 1, None)
        item.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"] if modality == "CT" else ["ORIGINAL", "PRIMARY", "OTHER"]
        item.FrameOfReferenceUID, item.PositionReferenceIndicator = frame_uid, ""
        item.ImagePositionPatient = _numbers(first + number * step)
        item.ImageOrientationPatient = _numbers([*right, *down])
        item.PixelSpacing, item.SliceThickness = _numbers(spacing), _numbers([np.linalg.norm(step)])[0]
        item.BodyPartExamined = "CHEST" if modality == "CT" else "BRAIN"
        plane = np.rint(values[..., number])
        if modality == "CT":
            item.SOPClassUID, item.RescaleIntercept, item.RescaleSlope, item.RescaleType = CTImageStorage, "-1024", "1", "HU"
            item.KVP, item.AcquisitionNumber = "120", "1"
            _pixels(item, (plane + 1024).astype(np.uint16), stored=12)
        else:
            item.SOPClassUID = MRImageStorage
            item.ScanningSequence, item.SequenceVariant, item.ScanOptions, item.MRAcquisitionType = "SE", "NONE", "", "2D"
            item.EchoTime, item.EchoTrainLength, item.RepetitionTime, item.SequenceName = "80", "1", "2000", "se2d1"
            item.SpacingBetweenSlices, item.MagneticFieldStrength = _numbers([np.linalg.norm(step)])[0], "3"
            _pixels(item, plane.astype(np.uint16), stored=12)
        _set(item, tags)
        files.append(_write(item, folder / f"{number + 1:04d}.dcm", sender))
    row, column, index = np.argwhere(mask).mean(axis=0)
    centre = first + row * spacing[0] * down + column * spacing[1] * right + index * step
    return Series(folder, files, study_uid, series_uid, mask, centre)


def _instance(modality: str, study_uid: str, series_uid: str, series_number: int, number: int, sop_uid: str | None) -> Dataset:
    """Patient, study, series and equipment."""
    item = Dataset()
    item.SpecificCharacterSet = "ISO_IR 192"
    for keyword, value in PATIENT.items():
        setattr(item, keyword, value)
    item.StudyInstanceUID, item.SeriesInstanceUID, item.SOPInstanceUID = study_uid, series_uid, sop_uid or generate_uid()
    item.StudyDate = item.SeriesDate = item.AcquisitionDate = item.ContentDate = "20240229"
    item.StudyTime = item.SeriesTime = item.AcquisitionTime = item.ContentTime = "093015"
    item.StudyID, item.AccessionNumber, item.ReferringPhysicianName = "1", "ACC0001", "Doe^Jo"
    item.StudyDescription, item.SeriesDescription = "Study for tests", f"{modality} for tests"
    item.Modality, item.SeriesNumber, item.InstanceNumber = modality, series_number, number
    item.Manufacturer, item.ManufacturerModelName, item.DeviceSerialNumber = "Maker", "Model", "4711"
    item.SoftwareVersions, item.InstitutionName, item.StationName = "1.0", "Hospital", "ROOM1"
    item.PatientPosition = "HFS"
    return item


def _digital(item: Dataset) -> None:
    """What a film of a digital detector has beside a computed radiograph's."""
    item.SOPClassUID, item.PresentationIntentType = DigitalXRayImageStorageForPresentation, "FOR PRESENTATION"
    item.ImageLaterality = "U"
    item.PixelIntensityRelationship, item.PixelIntensityRelationshipSign = "LOG", -1
    item.RescaleIntercept, item.RescaleSlope, item.RescaleType = "0", "1", "US"
    item.PresentationLUTShape, item.LossyImageCompression, item.BurnedInAnnotation = "IDENTITY", "00", "NO"
    item.DetectorType, item.PositionerType = "DIRECT", ""
    item.AnatomicRegionSequence = Sequence([_code("43799004", "SCT", "Chest")])
    item.AcquisitionContextSequence = Sequence([])
    item.ViewCodeSequence = Sequence([_code("399348003", "SCT", "postero-anterior")])
    item.ViewCodeSequence[0].ViewModifierCodeSequence = Sequence([])


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _pixels(item: Dataset, array: np.ndarray, stored: int) -> None:
    stored = stored if int(array.max(initial=0)) < 1 << stored else 16
    item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
    item.Rows, item.Columns = array.shape
    item.BitsAllocated, item.BitsStored, item.HighBit, item.PixelRepresentation = 16, stored, stored - 1, 0
    item.PixelData = array.astype("<u2").tobytes()


def _set(item: Dataset, tags: dict[str, Any]) -> None:
    """``None`` takes an element out."""
    for keyword, value in tags.items():
        if value is not None:
            setattr(item, keyword, value)
        elif keyword in item:
            delattr(item, keyword)


def _numbers(values: Any) -> list[str]:
    return [format_number_as_ds(float(v)) for v in values]


def _write(item: Dataset, path: Path, sender: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    item.file_meta = FileMetaDataset()
    item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    item.file_meta.SourceApplicationEntityTitle = sender
    item.save_as(path, enforce_file_format=True)
    return path
