"""What real headers hold in place of a geometry: zeros, rounding, tilted cosines, senseless thicknesses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from casewise.errors import CasewiseError, UnreadableImageError
from casewise.formats import Found, read, scan
from casewise.image import Image
from tests.formats.synthetic import Plan, assert_every_voxel_lies_where_planned, instance, numbers, pixels, placed, series

AXIAL = Plan()


def raw(path: Path, tag: int, kind: str, value: bytes) -> Path:
    """Put bytes into an element that no writer would write."""
    dataset = dcmread(path)
    value += b" " * (len(value) % 2)
    dataset._dict[Tag(tag)] = RawDataElement(Tag(tag), kind, len(value), value, 0, False, True)
    dataset.save_as(path)
    return path


BAD = [b"0\\0", b"nan\\nan", b"-0.2\\-0.2", b"0.2", b"0,2\\0,2", b"0.2\\0.2\\0.2", b"0\\0.2", b"1e9\\1e9", b"abc\\def"]


@pytest.mark.parametrize("value", BAD)
def test_a_radiograph_falls_back_to_the_detector(tmp_path: Path, value: bytes) -> None:
    path = instance(tmp_path / "dx.dcm", pixels(0), Modality="DX", ImagerPixelSpacing=[0.15, 0.2])
    image = read(raw(path, 0x00280030, "DS", value))
    assert image.spacing == pytest.approx((0.15, 0.2))
    assert image.header.spacing_at == "detector"
    other = instance(tmp_path / "film.dcm", pixels(0), Modality="CR", NominalScannedPixelSpacing=[0.1, 0.1])
    assert read(raw(other, 0x00280030, "DS", value)).header.spacing_at == "film"
    none = instance(tmp_path / "none.dcm", pixels(0), Modality="DX")
    assert read(raw(none, 0x00280030, "DS", value)).header.spacing_known is False


def test_an_empty_pixel_spacing_is_none(tmp_path: Path) -> None:
    path = instance(tmp_path / "dx.dcm", pixels(0), Modality="DX", PixelSpacing=None, ImagerPixelSpacing=[0.15, 0.2])
    assert read(path).spacing == pytest.approx((0.15, 0.2))


@pytest.mark.parametrize("value", BAD)
def test_a_slice_in_space_is_refused_by_name_and_value(tmp_path: Path, value: bytes) -> None:
    path = raw(instance(tmp_path / "ct.dcm", pixels(0), **placed(AXIAL, 0)), 0x00280030, "DS", value)
    with pytest.raises(UnreadableImageError, match=r"ct\.dcm.*PixelSpacing is .*two positive numbers") as refused:
        read(path)
    assert "\n" not in str(refused.value)
    assert "damaged or cut short" not in str(refused.value)
    assert "abc" not in str(refused.value)


@pytest.mark.parametrize("value", [b"1\\0\\0", b"1,0\\0\\0\\0\\1\\0", b"nan\\0\\0\\0\\1\\0"])
def test_an_orientation_of_no_six_numbers_is_refused_by_name(tmp_path: Path, value: bytes) -> None:
    path = raw(instance(tmp_path / "ct.dcm", pixels(0), **placed(AXIAL, 0)), 0x00200037, "DS", value)
    with pytest.raises(UnreadableImageError, match=r"ct\.dcm.*ImageOrientationPatient is .*6 numbers"):
        read(path)


@pytest.mark.parametrize("value", [b"1e-300", b"0", b"-0", b"1e300", b"nan", b"inf", b"3,5", b"1e-30", b"x"])
@pytest.mark.parametrize("tag", [0x00180050, 0x00180088])
def test_a_senseless_thickness_is_unknown(tmp_path: Path, tag: int, value: bytes) -> None:
    path = instance(tmp_path / "mr.dcm", pixels(0), **{**placed(AXIAL, 0), "SliceThickness": None})
    image = read(raw(path, tag, "DS", value))
    assert np.linalg.norm(image.affine[:3, 2]) == pytest.approx(1.0)
    series(tmp_path / "s", AXIAL)
    for file in (tmp_path / "s").iterdir():
        raw(file, tag, "DS", value)
    assert_every_voxel_lies_where_planned(read(tmp_path / "s"), AXIAL)


def test_an_affine_that_cannot_be_is_reported_in_one_line() -> None:
    for affine in (np.zeros((4, 4)), np.full((4, 4), np.nan), np.zeros((200, 3))):
        with pytest.raises(CasewiseError, match="invertible 4×4 matrix") as refused:
            Image(np.zeros((1, 2, 2)), affine)
        assert "\n" not in str(refused.value)
        assert len(str(refused.value)) < 300


def turned(index: int, angle: float) -> dict[str, object]:
    tags = placed(AXIAL, index)
    right, down = (np.cos(angle), np.sin(angle), 0), (-np.sin(angle), np.cos(angle), 0)
    return tags | {"ImageOrientationPatient": numbers([*right, *down])}


@pytest.mark.parametrize("jitter", [lambda k: 1e-3 * (k % 2), lambda k: 1e-3 * (-1) ** k, lambda k: 2e-4 * k, lambda k: 1e-6 * k])
def test_an_orientation_off_by_rounding_is_one_series(tmp_path: Path, jitter) -> None:
    for index in range(6):
        instance(tmp_path / str(index), pixels(index), InstanceNumber=index, **turned(index, jitter(index)))
    image = read(tmp_path)
    assert image.array.shape[-1] == 6
    assert_every_voxel_lies_where_planned(image, AXIAL, tolerance=0.02)


def test_a_tilted_stack_far_from_the_origin_keeps_its_order_in_spite_of_rounding(tmp_path: Path) -> None:
    plan = Plan((0.9848, 0, 0.1736), (0, 1, 0), origin=(-480, 300, 1500), gap=0.4)
    for index in range(6):
        tags = placed(plan, index)
        off = 1e-3 * (index % 2) * np.array([0, 0, 1, 0, 0, 0])
        tags["ImageOrientationPatient"] = numbers(np.round([*plan.right, *plan.down], 4) + off)
        instance(tmp_path / str(index), pixels(index), InstanceNumber=index, **tags)
    values = read(tmp_path).array[0, 0, 0] // 256
    assert values.tolist() == list(range(6))


@pytest.mark.parametrize("angle", [0.01, 0.1, np.pi / 2])
def test_truly_different_orientations_stay_apart(tmp_path: Path, angle: float) -> None:
    for index in range(6):
        instance(tmp_path / str(index), pixels(index), InstanceNumber=index, **turned(index, angle * (index // 3)))
    assert sorted(len(result.files) for result in scan(tmp_path) if isinstance(result, Found)) == [3, 3]


def test_a_pixel_size_off_by_rounding_is_one_series(tmp_path: Path) -> None:
    for index in range(4):
        tags = placed(AXIAL, index) | {"PixelSpacing": [0.48824 + 0.00002 * (index % 2)] * 2}
        instance(tmp_path / str(index), pixels(index), InstanceNumber=index, **tags)
    assert read(tmp_path).array.shape[-1] == 4


@pytest.mark.parametrize(
    ("gap", "off", "is_grid"),
    [(0.5, 0.05, True), (0.5, 0.07, False), (2.5, 0.05, True), (2.5, 0.07, False), (10, 0.18, True), (10, 0.23, False)],
)
@pytest.mark.parametrize("aside", [False, True])
def test_how_far_a_slice_may_lie_off_the_grid(tmp_path: Path, gap: float, off: float, is_grid: bool, aside: bool) -> None:
    """0.06 mm, or 2 % of the slices' distance where that is more; along the normal and across it."""
    plan = Plan(gap=gap)
    for index in range(7):
        tags = placed(plan, index)
        move = np.array([0, off, 0] if aside else [0, 0, off]) * (index == 3)
        tags["ImagePositionPatient"] = numbers(plan.position(index) + move)
        instance(tmp_path / str(index), pixels(index), InstanceNumber=index, **tags)
    if is_grid:
        assert read(tmp_path).array.shape[-1] == 7
    else:
        with pytest.raises(UnreadableImageError, match=r"form no grid|unevenly"):
            read(tmp_path)


@pytest.mark.shared
def test_reported_geometries(shared_data: Path) -> None:
    reports = shared_data / "bug-reports" / "dicom"
    film = read(reports / "dx_zero_imager.dcm")
    assert film.spacing == pytest.approx((0.2, 0.2))
    image = read(reports / "series_iop_jitter_1e-3")
    assert image.array.shape == (1, 8, 10, 6)
    assert image.spacing == pytest.approx((0.5, 0.75, 2))
