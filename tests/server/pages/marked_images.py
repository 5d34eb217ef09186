"""Images with one bright voxel somewhere beside the middle: whoever sees it on the screen knows which voxel it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
from PIL import Image as Picture
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

Affine = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Marked:
    """A file, and its one brightest voxel in the order of casewise's axes."""

    path: Path
    voxel: tuple[int, ...]


def volume(path: Path, affine: Affine, shape: tuple[int, int, int] = (40, 48, 30)) -> Marked:
    """A ball on black, and the marker beside it; NIfTI."""
    i, j, k = np.indices(shape)
    values = np.full(shape, 10, np.int16)
    centre = [n * 0.55 for n in shape]
    size = np.linalg.norm(affine[:3, :3], axis=0)
    distance = np.sqrt(sum(((axis - middle) * mm) ** 2 for axis, middle, mm in zip((i, j, k), centre, size, strict=True)))
    values[distance < 9] = 120
    voxel = (9, 31, 11)
    values[voxel] = 1000
    nib.save(nib.Nifti1Image(values, affine), path)
    return Marked(path, voxel)


def flipped() -> Affine:
    """Axes towards Left, Posterior, Inferior."""
    return np.array([[-1.0, 0, 0, 20], [0, -1.2, 0, 30], [0, 0, -1.5, 10], [0, 0, 0, 1]])


def oblique() -> Affine:
    """Turned about all three axes, with the axes in another order: (A, S, R)."""
    turn = np.eye(3)
    for axis, degrees in ((0, 14), (1, -17), (2, 22)):
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        one, other = (n for n in range(3) if n != axis)
        step = np.eye(3)
        step[one, one] = step[other, other] = c
        step[one, other], step[other, one] = -s, s
        turn = step @ turn
    swapped = turn @ np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
    affine = np.eye(4)
    affine[:3, :3] = swapped * np.array([1.1, 1.3, 0.9])
    affine[:3, 3] = (-12.5, 7.25, 40)
    return affine


def anisotropic() -> Affine:
    """Thick slices: 0.8 × 0.8 × 5 mm."""
    return np.diag([0.8, 0.8, 5.0, 1.0])


def picture(path: Path) -> Marked:
    """An 8-bit PNG with a disc."""
    y, x = np.indices((90, 130))
    values = np.full((90, 130), 20, np.uint8)
    values[(y - 50) ** 2 + (x - 80) ** 2 < 20**2] = 110
    voxel = (24, 37)
    values[voxel] = 255
    Picture.fromarray(values).save(path)
    return Marked(path, voxel)


def film(path: Path) -> Marked:
    """A 16-bit radiograph of 2500 × 3000 pixels of 0.14 mm: a body, and a grey square around the marker."""
    y, x = np.indices((3000, 2500))
    values = (1500 + 2.5 * x + 2 * y).astype(np.uint16)
    values[((y - 1700) / 900) ** 2 + ((x - 1300) / 700) ** 2 < 1] += 9000
    voxel = (811, 1907)
    values[voxel[0] - 40 : voxel[0] + 41, voxel[1] - 40 : voxel[1] + 41] = 45000
    values[voxel[0] - 30 : voxel[0] + 31, voxel[1] - 30 : voxel[1] + 31] = 0
    values[voxel] = 65535
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["a film"])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = Dataset()
    data.file_meta = meta
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID = generate_uid(entropy_srcs=["study"]), generate_uid(entropy_srcs=["series"])
    data.PatientID, data.PatientName, data.Modality, data.BodyPartExamined = "P1", "", "DX", "CHEST"
    data.Rows, data.Columns = values.shape
    data.PixelSpacing = data.ImagerPixelSpacing = [0.14, 0.14]
    data.PatientOrientation = ["L", "F"]
    data.ViewPosition, data.PhotometricInterpretation = "PA", "MONOCHROME2"
    data.SamplesPerPixel, data.BitsAllocated, data.BitsStored, data.HighBit = 1, 16, 16, 15
    data.PixelRepresentation = 0
    data.WindowCenter, data.WindowWidth = 32768, 65536
    data.PixelData = values.tobytes()
    data.save_as(path, enforce_file_format=True)
    return Marked(path, voxel)
