"""NIfTI: the file's own index order, an affine in mm, scaled values; what is not sure is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from casewise.errors import UnreadableImageError
from casewise.formats import read

AFFINE = np.array([[0.0, -2.0, 0.0, 10.0], [1.5, 0.0, 0.0, -20.0], [0.0, 0.0, 3.0, 5.0], [0, 0, 0, 1]])


def saved(path: Path, array: np.ndarray, affine: np.ndarray | None = AFFINE, **header: object) -> Path:
    image = nib.Nifti1Image(array, affine, dtype=array.dtype)
    for key, value in header.items():
        image.header[key] = value
    nib.save(image, path)
    return path


def edited(path: Path, **fields: object) -> Path:
    """Overwrite header fields of a plain file, whatever nibabel would say to them."""
    data = bytearray(path.read_bytes())
    header = nib.Nifti1Header.from_fileobj(path.open("rb"), check=False)
    for key, value in fields.items():
        header[key] = value
    data[:348] = header.binaryblock
    path.write_bytes(bytes(data))
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64, np.int32])
def test_values_type_and_affine_come_back(tmp_path: Path, suffix: str, dtype: type) -> None:
    array = np.arange(2 * 3 * 4).reshape(2, 3, 4).astype(dtype)
    image = read(saved(tmp_path / f"a{suffix}", array))
    np.testing.assert_array_equal(image.array[0], array)
    assert image.array.dtype == dtype
    np.testing.assert_allclose(image.affine, AFFINE)
    assert image.spacing == pytest.approx((1.5, 2, 3))


def test_a_pair_is_read_by_its_header(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    nib.save(nib.Nifti1Pair(array, AFFINE), tmp_path / "a.hdr")
    np.testing.assert_array_equal(read(tmp_path / "a.hdr").array[0], array)
    (tmp_path / "a.img").unlink()
    with pytest.raises(UnreadableImageError, match=r"a\.img is not beside it"):
        read(tmp_path / "a.hdr")


def test_nifti_2_and_big_endian(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    nib.save(nib.Nifti2Image(array, AFFINE), tmp_path / "two.nii")
    np.testing.assert_array_equal(read(tmp_path / "two.nii").array[0], array)
    big = nib.Nifti1Image(array, AFFINE, nib.Nifti1Header(endianness=">"))
    nib.save(big, tmp_path / "big.nii")
    image = read(tmp_path / "big.nii")
    np.testing.assert_array_equal(image.array[0], array)
    assert image.array.dtype.isnative


def test_slope_and_intercept_are_applied(tmp_path: Path) -> None:
    path = edited(saved(tmp_path / "a.nii", np.arange(24, dtype=np.int16).reshape(2, 3, 4)), scl_slope=0.5, scl_inter=-3)
    np.testing.assert_allclose(read(path).array[0].ravel(), np.arange(24) * 0.5 - 3)


def test_axes_of_length_one_at_the_end_are_dropped(tmp_path: Path) -> None:
    assert read(saved(tmp_path / "a.nii", np.zeros((4, 5, 1, 1), np.uint8))).array.shape == (1, 4, 5)
    assert read(saved(tmp_path / "b.nii", np.zeros((4, 5, 6, 1), np.uint8))).array.shape == (1, 4, 5, 6)
    assert read(saved(tmp_path / "c.nii", np.zeros((4, 5), np.uint8))).array.shape == (1, 4, 5)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_one_volume_of_several_is_chosen(tmp_path: Path, suffix: str) -> None:
    array = np.random.default_rng(0).integers(0, 99, (3, 4, 5, 6)).astype(np.int16)
    path = saved(tmp_path / f"a{suffix}", array)
    with pytest.raises(
        UnreadableImageError, match=r'holds 6 volumes: save .* import the file.* member="volume=0" to member="volume=5"'
    ):
        read(path)
    for volume in range(6):
        np.testing.assert_array_equal(read(path, f"volume={volume}").array[0], array[..., volume])
    with pytest.raises(UnreadableImageError, match="has no member 'volume=6'"):
        read(path, "volume=6")


def test_rgb_gives_channels(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3), np.uint8)
    voxels = colours.view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]
    nib.save(nib.Nifti1Image(voxels, AFFINE), tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(read(tmp_path / "a.nii.gz").array, np.moveaxis(colours, -1, 0))


def test_voxels_that_are_no_numbers_are_counted(tmp_path: Path) -> None:
    array = np.zeros((3, 3, 3), np.float32)
    array[0, 0, :2] = np.nan, np.inf
    with pytest.raises(UnreadableImageError, match=r"2 of 27 voxels that are not finite.*nan_to_num"):
        read(saved(tmp_path / "a.nii.gz", array))


def test_complex_values_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match="complex64; real numbers"):
        read(saved(tmp_path / "a.nii", np.zeros((2, 2, 2), np.complex64)))


def test_without_an_affine_the_voxel_size_counts(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii", np.zeros((3, 3, 3), np.uint8))
    image = read(edited(path, sform_code=0, qform_code=0, pixdim=[1, 2, 3, 4, 1, 1, 1, 1], xyzt_units=2))
    assert image.spacing == (2, 3, 4)
    assert image.header.spacing_known is True
    assert image.header.orientation_known is False
    assert read(edited(path, xyzt_units=0)).header.spacing_known is False
    assert read(edited(path, xyzt_units=3)).spacing == pytest.approx((0.002, 0.003, 0.004))
    for bad in (np.nan, -1, 0, 1e9):
        with pytest.raises(UnreadableImageError, match="neither an affine nor a voxel size"):
            read(edited(path, pixdim=[1, bad, 3, 4, 1, 1, 1, 1], xyzt_units=2))


def test_an_affine_that_is_no_grid_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii", np.zeros((3, 3, 3), np.uint8))
    for row in ([0, 0, 0, 0], [np.nan, 0, 0, 0], [1.5, 0, 0, 0]):
        with pytest.raises(UnreadableImageError, match="does not describe a grid"):
            read(edited(path, srow_x=row, srow_y=[1.5, 0, 0, 0], sform_code=1))


def test_a_header_that_claims_too_much_is_refused_at_once(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii", np.zeros((3, 3, 3), np.uint8))
    with pytest.raises(UnreadableImageError, match=r"claims 30000×30000×3 voxels but holds only"):
        read(edited(path, dim=[3, 30000, 30000, 3, 1, 1, 1, 1]))
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(UnreadableImageError, match="claims 30000×30000×3 voxels"):
        read(tmp_path / "a.nii.gz")
    with pytest.raises(UnreadableImageError, match=r"holds no voxels|dimensions are"):
        read(edited(path, dim=[3, 0, 3, 3, 1, 1, 1, 1]))


def test_a_flipped_bit_in_gzip_is_noticed(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii.gz", np.random.default_rng(0).integers(0, 255, (20, 20, 20)).astype(np.uint8))
    data = bytearray(path.read_bytes())
    for position in range(len(data) // 2, len(data), 97):
        copy = bytearray(data)
        copy[position] ^= 4
        path.write_bytes(bytes(copy))
        with pytest.raises(UnreadableImageError):
            read(path)
