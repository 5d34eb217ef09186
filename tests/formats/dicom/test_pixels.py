"""Pixels come in the unit of their modality, larger is brighter, colours are RGB: for every transfer syntax and photometric."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pydicom.data
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from casewise.errors import UnreadableImageError
from casewise.formats import Rejected, read, scan
from tests.formats.synthetic import instance, pixels

PACKAGED = Path(pydicom.data.__file__).parent / "test_files"
# The real set's files that no decoder takes, and the one that ends before its pixels.
UNREADABLE = {
    "OT-PAL-8-face.dcm": "no transfer syntax",
    "liver_deflate.dcm": "not read; export it uncompressed",
    "liver_nonbyte_aligned_deflate.dcm": "not read; export it uncompressed",
    "liver_rle.dcm": "cannot be decoded",
    "liver_nonbyte_aligned_rle.dcm": "cannot be decoded",
    "emri_small_jpeg_2k_lossless_too_short.dcm": "cut short",
}


def test_whole_rescaling_keeps_whole_numbers(tmp_path: Path) -> None:
    image = read(instance(tmp_path / "a", pixels(1), BitsStored=12, HighBit=11, RescaleSlope=1, RescaleIntercept=-1024))
    assert image.array.dtype == np.int16
    np.testing.assert_array_equal(image.array[0], pixels(1).astype(int) - 1024)


def test_broken_rescaling_gives_floats(tmp_path: Path) -> None:
    image = read(instance(tmp_path / "a", pixels(1), RescaleSlope=0.5, RescaleIntercept=-0.25))
    np.testing.assert_allclose(image.array[0], pixels(1) * 0.5 - 0.25)


def test_a_slope_of_zero_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match="rescale slope of 0"):
        read(instance(tmp_path / "a", pixels(1), RescaleSlope=0, RescaleIntercept=0))


@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_monochrome1_is_turned_with_its_window(tmp_path: Path, dtype: type) -> None:
    stored = pixels(0).astype(dtype)
    tags = {"BitsStored": 12, "HighBit": 11, "WindowCenter": 1000, "WindowWidth": 300}
    plain = read(instance(tmp_path / "a", stored, **tags))
    turned = read(instance(tmp_path / "b", stored, PhotometricInterpretation="MONOCHROME1", **tags))
    total = 4095 if dtype is np.uint16 else -1
    np.testing.assert_array_equal(turned.array.astype(int), total - plain.array.astype(int))
    assert turned.header.window == (total - 1000, 300)
    assert plain.header.window == (1000, 300)
    assert turned.header.photometric == "MONOCHROME2"


def test_monochrome1_after_rescaling(tmp_path: Path) -> None:
    tags = {"BitsStored": 8, "HighBit": 7, "RescaleSlope": 2, "RescaleIntercept": -10}
    image = read(instance(tmp_path / "a", np.array([[0, 255], [1, 2]], np.uint8), PhotometricInterpretation="MONOCHROME1", **tags))
    np.testing.assert_array_equal(image.array[0], [[500, -10], [498, 496]])


def test_a_modality_table_is_applied(tmp_path: Path) -> None:
    table = Dataset()
    table.LUTDescriptor, table.ModalityLUTType = [4, 0, 16], "HU"
    table.LUTData = np.array([7, 70, 700, 7000], np.uint16).tobytes()
    stored = np.array([[0, 1], [2, 3]], np.uint16)
    image = read(instance(tmp_path / "a", stored, ModalityLUTSequence=Sequence([table])))
    np.testing.assert_array_equal(image.array[0], [[7, 70], [700, 7000]])


def test_a_volume_is_not_windowed(tmp_path: Path) -> None:
    image = read(instance(tmp_path / "a", pixels(3), WindowCenter=[40, 400], WindowWidth=[80, 1500]))
    np.testing.assert_array_equal(image.array[0], pixels(3))
    assert image.header.window == (40, 80)


@pytest.mark.parametrize("planar", [0, 1])
def test_planes_and_pixels_of_colour_are_the_same(tmp_path: Path, planar: int) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (6, 4, 3), np.uint8)
    stored = colour if planar == 0 else np.ascontiguousarray(np.moveaxis(colour, -1, 0))
    tags = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": planar, "Rows": 6, "Columns": 4}
    image = read(instance(tmp_path / "a", stored, Modality="US", **tags))
    np.testing.assert_array_equal(image.array, np.moveaxis(colour, -1, 0))


def test_ybr_comes_as_rgb(tmp_path: Path) -> None:
    ybr = np.array([[[128, 128, 128], [76, 85, 255]]], np.uint8)
    tags = {"SamplesPerPixel": 3, "PhotometricInterpretation": "YBR_FULL", "PlanarConfiguration": 0, "Rows": 1, "Columns": 2}
    image = read(instance(tmp_path / "a", ybr, **tags))
    np.testing.assert_allclose(image.array[:, 0, 0].astype(int), [128, 128, 128], atol=1)
    np.testing.assert_allclose(image.array[:, 0, 1].astype(int), [254, 0, 0], atol=1)


def test_a_palette_comes_as_rgb(tmp_path: Path) -> None:
    entries = np.array([0, 0x8000, 0xFF00], np.uint16)
    tags = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour, order in (("Red", [0, 1, 2]), ("Green", [2, 1, 0]), ("Blue", [1, 1, 1])):
        tags[f"{colour}PaletteColorLookupTableDescriptor"] = [3, 0, 16]
        tags[f"{colour}PaletteColorLookupTableData"] = entries[order].tobytes()
    image = read(instance(tmp_path / "a", np.array([[0, 1, 2, 2]], np.uint8), **tags))
    np.testing.assert_array_equal(image.array[:, 0, :3], [[0, 0x80, 0xFF], [0xFF, 0x80, 0], [0x80, 0x80, 0x80]])


PEERS = ["", "_big_endian", "_RLE", "_jpeg_2k_lossless", "_jpeg_ls_lossless"]


@pytest.mark.parametrize("name", ["MR_small_bigendian", "MR_small_RLE", "MR_small_jp2klossless", "MR_small_jpeg_ls_lossless"])
def test_one_image_is_the_same_in_every_lossless_encoding(name: str) -> None:
    np.testing.assert_array_equal(read(PACKAGED / f"{name}.dcm").array, read(PACKAGED / "MR_small.dcm").array)


@pytest.mark.parametrize("ending", PEERS[1:])
def test_one_multi_frame_image_is_the_same_in_every_encoding(shared_data: Path, ending: str) -> None:
    folder = shared_data / "dicom-pydicom"
    np.testing.assert_array_equal(read(folder / f"emri_small{ending}.dcm").array, read(folder / "emri_small.dcm").array)


def test_every_packaged_file_is_an_image_or_has_its_reason() -> None:
    images, reasons = set(), {}
    for path in sorted(p for p in PACKAGED.rglob("*") if p.is_file() and p.suffix in ("", ".dcm")):
        try:
            images.add(path.name) if read(path).array.size else None
        except UnreadableImageError as error:
            reasons[path.name] = str(error)
    needed = {
        "CT_small.dcm",
        "JPEG2000.dcm",
        "SC_rgb_rle_32bit_2frame.dcm",
        "examples_ybr_color.dcm",
        "rtdose.dcm",
        "image_dfl.dcm",
    }
    needed |= {"image_dfl.dcm", "JPEGLSNearLossless_16.dcm", "SC_rgb_jpeg_dcmtk.dcm", "ExplVR_BigEnd.dcm", "MR_small_implicit.dcm"}
    assert needed <= images
    assert "without an image" in reasons["rtplan.dcm"]
    assert "DICOMDIR" in reasons["DICOMDIR"]
    assert "damaged" in reasons["MR_truncated.dcm"] or "cut short" in reasons["MR_truncated.dcm"]
    assert all("\n" not in reason and len(reason) < 600 for reason in reasons.values())


def test_of_the_real_set_all_but_six_are_read(shared_data: Path) -> None:
    files = sorted((shared_data / "dicom-pydicom").glob("*.dcm"))
    reasons = {}
    for path in files:
        try:
            assert read(path).array.size
        except UnreadableImageError as error:
            reasons[path.name] = str(error)
    assert len(files) == 68
    assert set(reasons) == set(UNREADABLE)
    for name, words in UNREADABLE.items():
        assert words in reasons[name]


def test_what_is_no_image_is_distinguished_from_what_cannot_be_read() -> None:
    results = {r.path.name: r for r in scan(PACKAGED, recursive=False) if isinstance(r, Rejected)}
    assert results["rtplan.dcm"].is_image is False
    assert results["README.txt"].is_image is False
    assert results["reportsi.dcm"].is_image is False
    assert results["meta_missing_tsyntax.dcm"].is_image is True
