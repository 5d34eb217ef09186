"""RT dose: scaled to its unit, and its planes where PS3.3 C.8.8.3.2 puts them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from casewise.errors import UnreadableImageError
from casewise.formats import read
from tests.formats.synthetic import Plan, instance, numbers

RT_DOSE = "1.2.840.10008.5.1.4.1.1.481.2"
VALUES = np.arange(4 * 3 * 5, dtype=np.uint32).reshape(4, 3, 5)


def dose(path: Path, offsets: object, plan: Plan | None = None, **tags: object) -> Path:
    plan = plan or Plan(origin=(-10, -20, -100))
    about = {
        "Modality": "RTDOSE",
        "NumberOfFrames": 4,
        "ImagePositionPatient": numbers(plan.origin),
        "ImageOrientationPatient": numbers([*plan.right, *plan.down]),
        "PixelSpacing": [0.5, 0.75],
        "GridFrameOffsetVector": None if offsets is None else numbers(offsets),
        "DoseGridScaling": "0.001",
        "DoseUnits": "GY",
    }
    return instance(path, VALUES, RT_DOSE, **{**about, **tags})


def plane_of(image, frame: int) -> np.ndarray:
    """LPS of the first pixel of the slice that holds a frame's values."""
    (index,) = np.flatnonzero(np.abs(image.array[0, 0, 0] - VALUES[frame, 0, 0] * 0.001) < 1e-9)
    return np.diag([-1, -1, 1]) @ (image.affine @ [0, 0, index, 1])[:3]


HEAD_FIRST_PRONE = Plan((-1, 0, 0), (0, -1, 0), origin=(10, 20, -100))
FEET_FIRST = Plan((-1, 0, 0), (0, 1, 0), origin=(10, -20, -100))
SAGITTAL = Plan((0, 1, 0), (0, 0, -1), origin=(-10, -20, -100))


@pytest.mark.parametrize("plan", [None, HEAD_FIRST_PRONE, FEET_FIRST, SAGITTAL, Plan((0.6, 0.8, 0), (-0.8, 0.6, 0))])
@pytest.mark.parametrize("offsets", [[0, 3, 6, 9], [0, -3, -6, -9]])
def test_distances_go_along_the_normal(tmp_path: Path, plan: Plan | None, offsets: list[float]) -> None:
    image = read(dose(tmp_path / "d.dcm", offsets, plan))
    plan = plan or Plan(origin=(-10, -20, -100))
    for frame, offset in enumerate(offsets):
        np.testing.assert_allclose(plane_of(image, frame), plan.origin + offset * np.cross(plan.right, plan.down), atol=1e-6)


@pytest.mark.parametrize("plan", [None, HEAD_FIRST_PRONE, FEET_FIRST])
@pytest.mark.parametrize("offsets", [[-100, -97, -94, -91], [-100, -103, -106, -109]])
def test_places_are_the_planes_z(tmp_path: Path, plan: Plan | None, offsets: list[float]) -> None:
    image = read(dose(tmp_path / "d.dcm", offsets, plan))
    for frame, z in enumerate(offsets):
        assert plane_of(image, frame)[2] == pytest.approx(z)


def test_a_dose_is_in_its_unit_as_a_peer_reads_it(tmp_path: Path) -> None:
    path = dose(tmp_path / "d.dcm", [0, 3, 6, 9])
    image = read(path)
    assert image.header.unit == "Gy"
    peer = SimpleITK.ReadImage(str(path))
    stored = SimpleITK.GetArrayFromImage(peer).transpose(1, 2, 0)
    np.testing.assert_allclose(image.array[0], stored * float(peer.GetMetaData("3004|000e")), rtol=1e-6)
    x, y, z = peer.TransformIndexToPhysicalPoint((4, 2, 3))
    np.testing.assert_allclose((image.affine @ [2, 4, 3, 1])[:3], (-x, -y, z), atol=1e-6)


@pytest.mark.parametrize(
    ("offsets", "tags", "reason"),
    [
        ([5, 8, 11, 14], {}, r"begins with 5; 0 or the z of ImagePositionPatient \(-100\)"),
        ([0, 3, 6], {}, "3 values for 4 frames"),
        ([0, 3, 6, 9, 12], {}, "5 values for 4 frames"),
        (None, {}, "no GridFrameOffsetVector"),
        ([0, 3, 6, 12], {}, "a slice is missing|unevenly"),
        ([0, 1, 4, 9], {}, "unevenly spaced"),
        ([0, 3, 6, 9], {"DoseGridScaling": None}, "DoseGridScaling is"),
        ([0, 3, 6, 9], {"DoseGridScaling": "0"}, "DoseGridScaling is 0"),
        ([0, 3, 6, 9], {"DoseGridScaling": "-1"}, "DoseGridScaling is -1"),
    ],
)
def test_what_cannot_be_is_refused_by_its_reason(tmp_path: Path, offsets, tags, reason: str) -> None:
    with pytest.raises(UnreadableImageError, match=rf"d\.dcm.*({reason})"):
        read(dose(tmp_path / "d.dcm", offsets, **tags))


def test_places_of_planes_that_are_not_axial_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match="not axial"):
        read(dose(tmp_path / "d.dcm", [-100, -97, -94, -91], SAGITTAL))


@pytest.mark.shared
def test_reported_dose(shared_data: Path) -> None:
    image = read(shared_data / "bug-reports" / "dicom" / "dose_absolute.dcm")
    assert [(image.affine @ [0, 0, k, 1])[2] for k in range(4)] == pytest.approx([-100, -97, -94, -91])
