"""Small DICOM series and files whose every pixel says where it is: value = row + 16 · column + 256 · slice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, EnhancedMRImageStorage, ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import format_number_as_ds

ROWS, COLUMNS, SLICES = 7, 9, 5
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


class Plan:
    """Geometry in LPS mm: ``right`` is where the column index grows to, ``down`` where the row index grows to."""

    def __init__(
        self,
        right: Any = (1, 0, 0),
        down: Any = (0, 1, 0),
        step: Any = None,
        origin: Any = (-30.0, 12.5, 40.0),
        spacing: tuple[float, float] = (0.7, 1.3),
        gap: float = 2.5,
    ) -> None:
        self.right, self.down = np.asarray(right, float), np.asarray(down, float)
        self.step = np.asarray(step, float) if step is not None else np.cross(self.right, self.down) * gap
        self.origin, self.spacing, self.gap = np.asarray(origin, float), spacing, gap

    def position(self, index: float) -> np.ndarray:
        return self.origin + index * self.step

    def ras(self, row: float, column: float, index: float) -> np.ndarray:
        lps = self.position(index) + row * self.spacing[0] * self.down + column * self.spacing[1] * self.right
        return LPS_TO_RAS @ lps


def pixels(index: int, rows: int = ROWS, columns: int = COLUMNS) -> np.ndarray:
    return (np.arange(rows)[:, None] + 16 * np.arange(columns)[None] + 256 * index).astype(np.uint16)


def numbers(values: Any) -> list[str]:
    return [format_number_as_ds(float(v)) for v in values]


def instance(path: Path, array: np.ndarray, sop_class: str = CTImageStorage, **tags: Any) -> Path:
    """Write one uncompressed file of a grey picture or frames (frame, row, column), with the given elements."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = tags.get("SOPInstanceUID") or generate_uid()
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    dataset.Modality, dataset.PatientName, dataset.PatientID = "CT", "Surname^Forename", "HOSP-4711"
    dataset.SeriesInstanceUID, dataset.StudyInstanceUID = "1.2.3.4", "1.2.3"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = array.shape[-2:]
    dataset.BitsAllocated = dataset.BitsStored = 8 * array.dtype.itemsize
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, int(array.dtype.kind == "i")
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    data = array.tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OB" if dataset.BitsAllocated == 8 else "OW"
    dataset.save_as(path, enforce_file_format=True)
    return path


def placed(plan: Plan, index: float) -> dict[str, Any]:
    return {
        "ImagePositionPatient": numbers(plan.position(index)),
        "ImageOrientationPatient": numbers([*plan.right, *plan.down]),
        "PixelSpacing": numbers(plan.spacing),
        "SliceThickness": plan.gap,
    }


def series(folder: Path, plan: Plan, indices: Any = range(SLICES), offset: int = 0, **tags: Any) -> list[Path]:
    """One file a slice; names and instance numbers run against the positions."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for index in indices:
        name = folder / f"IM{offset + 900 - index:04d}"
        own = {"InstanceNumber": offset + 900 - index, **placed(plan, index), **tags}
        files.append(instance(name, pixels(index), **own))
    return files


def enhanced(path: Path, plan: Plan, indices: list[int], times: int = 1, **tags: Any) -> Path:
    """A multi-frame file with a functional group for each frame, in the order of ``indices``; ``times`` frames at each position."""
    frames, groups = [], []
    for index in indices:
        for time in range(times):
            frames.append(pixels(index) + 4096 * time)
            group, plane, content = Dataset(), Dataset(), Dataset()
            plane.ImagePositionPatient = numbers(plan.position(index))
            content.TemporalPositionIndex = time + 1
            group.PlanePositionSequence, group.FrameContentSequence = Sequence([plane]), Sequence([content])
            groups.append(group)
    shared, orientation, measures, values = Dataset(), Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = numbers([*plan.right, *plan.down])
    measures.PixelSpacing, measures.SliceThickness = numbers(plan.spacing), plan.gap
    values.RescaleSlope, values.RescaleIntercept, values.RescaleType = 1, -100, "US"
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = Sequence([orientation]), Sequence([measures])
    shared.PixelValueTransformationSequence = Sequence([values])
    about = {
        "NumberOfFrames": len(frames),
        "SharedFunctionalGroupsSequence": Sequence([shared]),
        "PerFrameFunctionalGroupsSequence": Sequence(groups),
        "Modality": "MR",
    }
    return instance(path, np.stack(frames).astype(np.uint16), EnhancedMRImageStorage, **about, **tags)


def assert_every_voxel_lies_where_planned(image: Any, plan: Plan, shift: int = 0, tolerance: float = 1e-4) -> None:
    """Each value of (1, row, column, slice) tells the index it was written at; the affine must map it to that place."""
    values = image.array[0].astype(int) + shift
    for index in np.ndindex(values.shape):
        row, column, number = values[index] % 16, values[index] % 256 // 16, values[index] % 4096 // 256
        world = image.affine @ [*index, 1] if len(index) == 3 else image.affine @ [*index, 0, 1]
        np.testing.assert_allclose(world[:3], plan.ras(row, column, number), atol=tolerance)
