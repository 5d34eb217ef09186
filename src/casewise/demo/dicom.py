"""A simulated picture or volume as DICOM files, as a scanner's archive would hand them over."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

import numpy as np

from casewise.hashing import image_key
from casewise.image import Image


def write_dicom(path: Path, image: Image, patient: str) -> Path:
    """Write an MR picture (1, row, column) int16 with what its header says; the same picture gives the same bytes.

    image : its affine's first two columns run along rows and columns, in RAS mm. patient : a pseudonym.
    """
    _write(path, image, patient, image_key(image), None)
    return path


def write_series(folder: Path, image: Image, patient: str) -> Path:
    """Write an MR volume (1, row, column, slice) int16 as one file a slice; ``folder`` is made, and returned."""
    folder.mkdir(parents=True, exist_ok=True)
    key = image_key(image)
    for number in range(image.spatial_shape[2]):
        affine = image.affine.copy()
        affine[:3, 3] += number * affine[:3, 2]
        picture = Image(image.array[..., number], affine, image.header)
        _write(folder / f"{number + 1:03}.dcm", picture, patient, key, number + 1)
    return folder


def _write(path: Path, image: Image, patient: str, key: str, number: int | None) -> None:
    """One file. key : of the whole image. number : of the slice, from 1; None for a picture of its own."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = _uid(key, "image" if number is None else f"image {number}")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = Dataset()
    data.file_meta = meta
    data.SOPClassUID, data.SOPInstanceUID = MRImageStorage, meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID = _uid(key, "study"), _uid(key, "series")
    data.FrameOfReferenceUID = _uid(key, "frame")
    data.PatientID, data.PatientName = patient, ""
    data.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    data.ImageComments = "Simulated from the MNI152 template"
    data.SeriesNumber, data.InstanceNumber = 1, number or 1
    data.Modality = str(image.header.modality)
    data.SeriesDescription = str(image.header.sequence)
    data.BodyPartExamined = str(image.header.body_part)
    data.ManufacturerModelName = str(image.header.scanner)
    _add_geometry(data, image)
    _add_pixels(data, image)
    data.save_as(path, enforce_file_format=True)


def _add_geometry(data, image: Image) -> None:  # type: ignore[no-untyped-def]
    to_lps = np.diag([-1.0, -1.0, 1.0])  # DICOM's x runs to the left, its y to posterior
    down, across = (to_lps @ image.affine[:3, axis] for axis in (0, 1))
    spacing = [float(np.linalg.norm(down)), float(np.linalg.norm(across))]
    data.ImageOrientationPatient = [round(float(x), 6) for x in (*(across / spacing[1]), *(down / spacing[0]))]
    data.ImagePositionPatient = [round(float(x), 4) for x in to_lps @ image.affine[:3, 3]]
    data.PixelSpacing = [round(x, 6) for x in spacing]
    data.SliceThickness = round(float(np.linalg.norm(image.affine[:3, 2])), 6)


def _add_pixels(data, image: Image) -> None:  # type: ignore[no-untyped-def]
    pixels = image.array[0].astype("<i2")
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns = pixels.shape
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 1
    data.PixelData = pixels.tobytes()


def _uid(key: str, what: str) -> str:
    """A UID below 2.25, derived from the picture's hash: the same picture's is always the same."""
    return f"2.25.{int.from_bytes(blake2b(f'casewise demo {key} {what}'.encode(), digest_size=15).digest(), 'big')}"
