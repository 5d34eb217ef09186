"""NIfTI headers as real writers leave them: read as the standard says and as peers read them, or refused for the true reason."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from casewise.errors import UnreadableImageError
from casewise.formats import read

SHAPE = (6, 5, 4)
VALUES = np.arange(120, dtype=np.int16).reshape(SHAPE)


def bare(header: nib.Nifti1Header | None = None, **fields: object) -> nib.Nifti1Header:
    header = header or nib.Nifti1Header()
    header.set_data_shape(SHAPE)
    header.set_data_dtype(np.int16)
    header["magic"], header["vox_offset"] = header.single_magic, header.single_vox_offset
    header["pixdim"][:4] = 1, 2, 3, 4
    header["xyzt_units"] = 2
    header["qform_code"], header["qoffset_x"], header["qoffset_y"], header["qoffset_z"] = 1, -10, -20, -30
    for key, value in fields.items():
        header[key] = value
    return header


def written(path: Path, header: nib.Nifti1Header, gap: bytes = b"\0\0\0\0", behind: bytes = b"") -> Path:
    voxels = VALUES.astype(VALUES.dtype.newbyteorder(header.endianness)).tobytes(order="F")
    content = header.binaryblock + gap + voxels + behind
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def by_itk(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Voxels (i, j, k) and the affine to RAS mm."""
    image = SimpleITK.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return SimpleITK.GetArrayFromImage(image).transpose(), np.diag([-1.0, -1, 1, 1]) @ affine


def by_nibabel(path: Path) -> tuple[np.ndarray, np.ndarray]:
    image = nib.load(path)
    return np.asarray(image.dataobj), image.affine


def as_peers(path: Path, *peers) -> np.ndarray:
    """The affine, after voxels and affine were compared with each peer's."""
    image = read(path)
    for peer in peers:
        voxels, affine = peer(path)
        np.testing.assert_allclose(image.array[0], voxels, rtol=1e-6)
        np.testing.assert_allclose(image.affine, affine, atol=1e-4)
    return image.affine


@pytest.mark.parametrize("kind", [nib.Nifti1Header, nib.Nifti2Header])
@pytest.mark.parametrize("endianness", "<>")
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("offset", [0, 1, 100, 347])
def test_voxels_never_begin_inside_the_header(tmp_path: Path, kind, endianness: str, suffix: str, offset: int) -> None:
    header = bare(kind(endianness=endianness), vox_offset=offset)
    np.testing.assert_array_equal(read(written(tmp_path / f"a{suffix}", header)).array[0], VALUES)
    np.testing.assert_array_equal(read(written(tmp_path / f"b{suffix}", header, gap=b"")).array[0], VALUES)


def test_a_length_that_does_not_tell_where_voxels_begin_is_refused(tmp_path: Path) -> None:
    for behind in (b"\0\0", b"x" * 50):
        with pytest.raises(UnreadableImageError, match="states that its voxels begin at byte 0, inside the header"):
            read(written(tmp_path / "a.nii", bare(vox_offset=0), behind=behind))
    as_peers(written(tmp_path / "b.nii", bare(vox_offset=368), gap=bytes(20), behind=b"xyz"), by_nibabel, by_itk)


@pytest.mark.parametrize("first", [0, 1, -1, 5, -3])
def test_a_qfac_is_its_sign_and_0_is_1(tmp_path: Path, first: float) -> None:
    path = written(tmp_path / "a.nii", bare(quatern_d=0.6))
    with path.open("r+b") as file:
        file.seek(76)
        file.write(np.float32(first).tobytes())
    affine = as_peers(path, by_itk)
    assert np.sign(affine[2, 2]) == (-1 if first < 0 else 1)


@pytest.mark.parametrize("length", [1 + 2e-7, 1 + 1e-6, 1 + 1e-4, 1.004])
@pytest.mark.parametrize("parts", [(0, 0, 1), (1, 0, 0), (0.6, 0, 0.8), (0.48, 0.6, 0.64)])
def test_a_quaternion_made_too_long_by_rounding_is_a_unit(tmp_path: Path, length: float, parts) -> None:
    b, c, d = np.array(parts) * length
    affine = as_peers(written(tmp_path / "a.nii", bare(quatern_b=b, quatern_c=c, quatern_d=d)), by_itk)
    np.testing.assert_allclose(np.linalg.norm(affine[:3, :3], axis=0), (2, 3, 4), rtol=1e-6)


@pytest.mark.parametrize("parts", [(1, 1, 0), (0, 0, 1.2), (np.nan, 0, 0), (np.inf, 0, 0)])
def test_a_quaternion_that_is_none_is_refused_as_such(tmp_path: Path, parts) -> None:
    b, c, d = parts
    with pytest.raises(UnreadableImageError, match="quaternion is no rotation"):
        read(written(tmp_path / "a.nii", bare(quatern_b=b, quatern_c=c, quatern_d=d)))


@settings(max_examples=30, deadline=None)
@given(angles=st.tuples(*[st.floats(-180, 180)] * 3), handed=st.sampled_from([1, -1]), gz=st.booleans())
def test_any_qform_is_read_as_peers_read_it(tmp_path_factory: pytest.TempPathFactory, angles, handed: int, gz: bool) -> None:
    x, y, z, w = Rotation.from_euler("xyz", angles, degrees=True).as_quat()
    b, c, d = np.array([x, y, z]) * (1 if w >= 0 else -1)
    header = bare(quatern_b=b, quatern_c=c, quatern_d=d)
    header["pixdim"][0] = handed
    path = written(tmp_path_factory.mktemp("q") / ("a.nii.gz" if gz else "a.nii"), header)
    image, (_, theirs) = read(path), by_itk(path)
    np.testing.assert_array_equal(image.array[0], VALUES)
    np.testing.assert_allclose(image.affine, theirs, atol=5e-3)


def test_an_empty_sform_gives_way_to_the_qform(tmp_path: Path) -> None:
    path = written(tmp_path / "a.nii", bare(sform_code=1, srow_x=0, srow_y=0, srow_z=0))
    np.testing.assert_allclose(as_peers(path, by_itk), [[2, 0, 0, -10], [0, 3, 0, -20], [0, 0, 4, -30], [0, 0, 0, 1]])
    alone = written(tmp_path / "b.nii", bare(sform_code=1, srow_x=0, srow_y=0, srow_z=0, qform_code=0))
    with pytest.raises(UnreadableImageError, match="does not describe a grid"):
        read(alone)
    neither = read(written(tmp_path / "c.nii", bare(sform_code=0, qform_code=0)))
    assert neither.header.orientation_known is False
    assert neither.spacing == pytest.approx((2, 3, 4))


def test_an_sform_that_mirrors_the_qform_is_refused(tmp_path: Path) -> None:
    rows = {"srow_x": [-2, 0, 0, 10], "srow_y": [0, 3, 0, -20], "srow_z": [0, 0, 4, -30]}
    with pytest.raises(UnreadableImageError, match="two things about left and right"):
        read(written(tmp_path / "a.nii", bare(sform_code=1, **rows)))
    as_peers(written(tmp_path / "b.nii", bare(sform_code=1, qform_code=0, **rows)), by_nibabel, by_itk)
    turned = rows | {"srow_y": [0, -3, 0, 20]}
    as_peers(written(tmp_path / "c.nii", bare(sform_code=1, **turned)), by_nibabel)


@pytest.mark.parametrize("bad", [0, -1, np.nan, np.inf])
def test_a_voxel_size_that_cannot_be_is_refused_as_such(tmp_path: Path, bad: float) -> None:
    for code in (0, 1):
        header = bare(qform_code=code)
        header["pixdim"][2] = bad
        with pytest.raises(UnreadableImageError, match=r"a voxel size that can be: pixdim is \[2\.0, "):
            read(written(tmp_path / "a.nii", header))


@pytest.mark.parametrize(("unit", "scale"), [(0, 1), (1, 1000), (2, 1), (3, 0.001), (8 + 2, 1), (16 + 1, 1000)])
def test_units_are_brought_to_mm(tmp_path: Path, unit: int, scale: float) -> None:
    path = written(tmp_path / "a.nii", bare(xyzt_units=unit))
    assert read(path).spacing == pytest.approx(np.array([2, 3, 4]) * scale, rel=1e-5)
    as_peers(path, by_itk)


@pytest.mark.parametrize("slope", [0, np.nan, np.inf, -np.inf])
def test_a_slope_that_is_none_scales_nothing(tmp_path: Path, slope: float) -> None:
    as_peers(written(tmp_path / "a.nii", bare(scl_slope=slope, scl_inter=7)), by_nibabel)
    assert read(tmp_path / "a.nii").array.dtype == np.int16


def test_a_slope_with_an_intercept_that_is_none_is_refused_as_such(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match="intercept of nan"):
        read(written(tmp_path / "a.nii", bare(scl_slope=2, scl_inter=np.nan)))
    as_peers(written(tmp_path / "b.nii", bare(scl_slope=-0.5, scl_inter=3)), by_nibabel, by_itk)


@pytest.mark.parametrize(
    "behind",
    [b"garbage behind", b"\x1f\x8bno member", bytes(300), gzip.compress(b"another", mtime=0)],
    ids=["text", "magic", "zeros", "member"],
)
def test_what_follows_a_gzip_stream_is_passed_over(tmp_path: Path, behind: bytes) -> None:
    path = written(tmp_path / "a.nii.gz", bare())
    path.write_bytes(path.read_bytes() + behind)
    np.testing.assert_array_equal(read(path).array[0], VALUES)
    np.testing.assert_array_equal(by_itk(path)[0], VALUES)


@pytest.mark.parametrize("code", [0, 1, 3, 255, 1000])
def test_a_type_that_nobody_reads_is_named(tmp_path: Path, code: int) -> None:
    path = written(tmp_path / "a.nii", bare())
    data = bytearray(path.read_bytes())
    data[70:72] = np.int16(code).tobytes()
    path.write_bytes(bytes(data))
    with pytest.raises(UnreadableImageError, match=f"data type {code}"):
        read(path)


def test_a_displacement_field_is_read_part_by_part(tmp_path: Path) -> None:
    field = np.random.default_rng(0).normal(size=(4, 3, 2, 3))
    image = SimpleITK.GetImageFromArray(field.transpose(2, 1, 0, 3), isVector=True)
    SimpleITK.WriteImage(image, str(tmp_path / "field.nii.gz"))
    with pytest.raises(UnreadableImageError, match="3 volumes"):
        read(tmp_path / "field.nii.gz")
    for part in range(3):
        np.testing.assert_array_equal(read(tmp_path / "field.nii.gz", f"volume={part}").array[0], field[..., part])


@pytest.mark.parametrize("shape", [(4, 5, 6, 1), (4, 5, 6, 1, 1), (4, 5, 1), (4, 5, 1, 1), (4, 5)])
def test_axes_of_length_one(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "a.nii")
    np.testing.assert_array_equal(read(tmp_path / "a.nii").array[0], array.squeeze())


def test_a_slice_without_thickness_keeps_its_place(tmp_path: Path) -> None:
    header = bare(sform_code=1, qform_code=0, srow_x=[0, 3, 0, 5], srow_y=[0, 0, 0, 6], srow_z=[2, 0, 0, 7])
    header.set_data_shape((30, 4, 1))
    header["pixdim"][3] = 0
    image = read(written(tmp_path / "a.nii", header))
    np.testing.assert_allclose(image.affine @ [1, 1, 0, 1], [8, 6, 9, 1])


def test_the_voxels_of_a_pair_lead_to_its_header(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Pair(VALUES, np.eye(4)), tmp_path / "a.hdr")
    with pytest.raises(UnreadableImageError, match=r"holds the voxels of a\.hdr"):
        read(tmp_path / "a.img")


@pytest.mark.shared
def test_reported_files(shared_data: Path) -> None:
    reports = shared_data / "bug-reports" / "nifti"
    np.testing.assert_array_equal(read(reports / "vox_offset_0.nii").array[0], VALUES)
    first = read(reports / "qfac_0_qform_only.nii")
    np.testing.assert_array_equal(first.array[0], VALUES)
    np.testing.assert_allclose(first.affine, [[2, 0, 0, -10], [0, 3, 0, -20], [0, 0, 4, -30], [0, 0, 0, 1]])
    turned = read(reports / "quatern_1e-7.nii")
    np.testing.assert_array_equal(turned.array[0], VALUES)
    np.testing.assert_allclose(turned.affine, [[-2, 0, 0, -10], [0, -3, 0, -20], [0, 0, 4, -30], [0, 0, 0, 1]], atol=1e-6)
