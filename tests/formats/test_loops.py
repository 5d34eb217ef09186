"""Frames over time: read as a loop whose third axis is no axis of space, whatever the kind of file."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    NuclearMedicineImageStorage,
    UltrasoundMultiFrameImageStorage,
    XRayAngiographicImageStorage,
)

from casewise.applications.measures import measure, size_of
from casewise.archive.facts import content_of
from casewise.errors import CasewiseError, UnreadableImageError
from casewise.formats import read, write, write_mask
from casewise.header import Header
from casewise.image import Image
from casewise.models.preparation import Preparation
from tests.formats.synthetic import Plan, enhanced, instance, pixels

FRAMES = np.stack([pixels(k) for k in range(5)])
MOVED = np.moveaxis(FRAMES, 0, -1)


def region() -> Dataset:
    """A calibrated region of an ultrasound picture, 0.5 mm a pixel."""
    one = Dataset()
    one.PhysicalUnitsXDirection = one.PhysicalUnitsYDirection = 3
    one.PhysicalDeltaX = one.PhysicalDeltaY = 0.05
    return one


def nrrd(path: Path, array: np.ndarray, kinds: str, more: str = "") -> Path:
    """``array`` with its axes in the file's order, the fastest first."""
    header = f"NRRD0005\ntype: ushort\ndimension: {array.ndim}\nsizes: {' '.join(map(str, array.shape))}\nkinds: {kinds}\n{more}"
    path.write_bytes(f"{header}endian: little\nencoding: raw\n\n".encode() + array.astype("<u2").tobytes(order="F"))
    return path


def test_a_cine_ultrasound_is_a_loop_over_time(tmp_path: Path) -> None:
    tags = {"Modality": "US", "FrameTime": 40, "SequenceOfUltrasoundRegions": [region()]}
    path = instance(tmp_path / "us.dcm", FRAMES, UltrasoundMultiFrameImageStorage, NumberOfFrames=5, **tags)
    image = read(path)
    assert image.is_loop and image.header.third_axis == "time"
    assert image.header.frame_times == (0, 40, 80, 120, 160)
    assert not image.header.placed
    assert "a loop over time" in repr(image)
    frame = image.frame(3)
    np.testing.assert_array_equal(frame.array[0], pixels(3))
    assert (frame.spacing, frame.header.spacing_known, frame.is_loop) == ((0.5, 0.5), True, False)
    named = read(path, "frame=3")
    np.testing.assert_array_equal(named.array, frame.array)
    assert (named.spacing, named.header.spacing_known) == (frame.spacing, True)
    assert not {"third_axis", "frame_times"} & content_of(image).keys()


def test_what_says_that_frames_follow_in_time(tmp_path: Path) -> None:
    angiography = instance(tmp_path / "xa.dcm", FRAMES, XRayAngiographicImageStorage, NumberOfFrames=5, Modality="XA", CineRate=10)
    assert read(angiography).header.frame_times == (0, 100, 200, 300, 400)
    uneven = instance(tmp_path / "v.dcm", FRAMES, NumberOfFrames=5, Modality="US", FrameTimeVector=[0, 10, 30, 10, 50])
    assert read(uneven).header.frame_times == (0, 10, 40, 50, 100)
    silent = read(instance(tmp_path / "u.dcm", FRAMES, NumberOfFrames=5, Modality="US"))
    assert (silent.header.third_axis, silent.header.frame_times) == ("time", ())
    detectors = instance(tmp_path / "nm.dcm", FRAMES, NuclearMedicineImageStorage, NumberOfFrames=5, Modality="NM")
    assert read(detectors).header.third_axis == "frame"
    placed = read(enhanced(tmp_path / "loop.dcm", Plan(), [0], times=4))
    assert placed.is_loop
    assert not read(enhanced(tmp_path / "volume.dcm", Plan(), [0, 1, 2])).is_loop


def test_a_nifti_of_volumes_over_time_is_read_a_volume_at_a_time(tmp_path: Path) -> None:
    array = np.arange(4 * 5 * 6 * 3, dtype=np.int16).reshape(4, 5, 6, 3)
    image = nib.Nifti1Image(array, np.diag([2.0, 2, 3, 1]))
    image.header.set_xyzt_units("mm", "sec")
    image.header["pixdim"][4] = 2.5
    image.to_filename(tmp_path / "bold.nii.gz")
    with pytest.raises(UnreadableImageError, match='"volume=0" to member="volume=2"'):
        read(tmp_path / "bold.nii.gz")
    volume = read(tmp_path / "bold.nii.gz", "volume=1")
    np.testing.assert_array_equal(volume.array[0], array[..., 1])
    assert (volume.is_loop, volume.spacing) == (False, (2, 2, 3))


@pytest.mark.parametrize(("kinds", "place"), [("domain domain domain time", 3), ("time domain domain domain", 0)])
def test_an_nrrd_of_volumes_over_time_on_whatever_axis(tmp_path: Path, kinds: str, place: int) -> None:
    array = np.arange(4 * 5 * 6 * 3).reshape(4, 5, 6, 3)
    directions = ["(2,0,0)", "(0,2,0)", "(0,0,3)"]
    directions.insert(place, "none")
    more = f"space: left-posterior-superior\nspace directions: {' '.join(directions)}\nspace origin: (1,2,3)\n"
    path = nrrd(tmp_path / "a.nrrd", np.moveaxis(array, -1, place), kinds, more)
    with pytest.raises(UnreadableImageError, match='"volume=0" to member="volume=2"'):
        read(path)
    volume = read(path, "volume=2")
    np.testing.assert_array_equal(volume.array[0], array[..., 2])
    np.testing.assert_allclose(volume.affine, np.diag([-1.0, -1, 1, 1]) @ [[2, 0, 0, 1], [0, 2, 0, 2], [0, 0, 3, 3], [0, 0, 0, 1]])


@pytest.mark.parametrize(("kinds", "place"), [("domain domain time", 2), ("time domain domain", 0)])
@pytest.mark.parametrize("count", [5, 3])
def test_an_nrrd_of_pictures_over_time_is_a_loop(tmp_path: Path, kinds: str, place: int, count: int) -> None:
    spacings = ["0.5", "0.7"]
    spacings.insert(place, "40")
    path = nrrd(tmp_path / "a.nrrd", np.moveaxis(MOVED[..., :count], -1, place), kinds, f"spacings: {' '.join(spacings)}\n")
    image = read(path)
    np.testing.assert_array_equal(image.array[0], MOVED[..., :count])
    assert (image.header.third_axis, image.header.spacing_known) == ("time", False)
    np.testing.assert_array_equal(read(path, "frame=1").array[0], MOVED[..., 1])
    assert read(path, "frame=1").spacing == image.frame(1).spacing == (0.5, 0.7)
    assert image.frame(1).header.spacing_known


def test_nothing_takes_time_for_space(tmp_path: Path) -> None:
    image = Image(MOVED[None], np.diag([2.0, 2, 1, 1]), Header(spacing_known=False, third_axis="time", spacing_at="patient"))
    with pytest.raises(CasewiseError, match="loop of 5 frames over time"):
        Preparation(3, (8, 8, 8)).parts(image)
    parts = Preparation(2, (8, 8), intensity="none").parts(image)
    single = Preparation(2, (8, 8), intensity="none").parts(image.frame(2))
    assert len(parts) == 5
    np.testing.assert_array_equal(parts[2].array, single[0].array)  # though a pixel is longer than the unit of the third axis
    mask = np.zeros(image.spatial_shape, bool)
    mask[1, 1, 0] = mask[2:4, 3:5, 3] = True
    with pytest.raises(CasewiseError, match="a measure of volume does not take"):
        size_of(mask, image)
    found = measure(mask, image)
    assert (found["frame"], found["area_mm2"]) == (3, 16)
    with pytest.raises(CasewiseError, match="resampling"):
        image.resample_like(image)
    with pytest.raises(CasewiseError, match="5 frames; got frame 5"):
        image.frame(5)
    # A mask of a loop comes back on its grid.
    path = write_mask(tmp_path / "m.nii.gz", mask, image)
    np.testing.assert_array_equal(read(path).array[0] > 0, mask)
    assert not read(write(tmp_path / "v.nii.gz", Image(MOVED[None]))).is_loop
