"""NRRD, MetaImage and HDF5."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import SimpleITK

from casewise.errors import UnreadableImageError
from casewise.formats import read

ARRAY = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)


def saved(path: Path, array: np.ndarray, vector: bool = False, compressed: bool = False) -> Path:
    image = SimpleITK.GetImageFromArray(array, isVector=vector)
    if image.GetDimension() == 3:
        image.SetDirection([0, 1, 0, -1, 0, 0, 0, 0, 1])
        image.SetSpacing([0.5, 2, 3])
        image.SetOrigin([7, -8, 9])
    SimpleITK.WriteImage(image, str(path), useCompression=compressed)
    return path


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("suffix", [".nrrd", ".nhdr", ".mha", ".mhd"])
def test_index_order_and_places_are_the_files_own(tmp_path: Path, suffix: str, compressed: bool) -> None:
    path = saved(tmp_path / f"a{suffix}", ARRAY, compressed=compressed)
    image = read(path)
    np.testing.assert_array_equal(image.array[0], ARRAY.T)
    peer = SimpleITK.ReadImage(str(path))
    for index in np.ndindex(4, 3, 2):
        x, y, z = peer.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose((image.affine @ [*index, 1])[:3], (-x, -y, z), atol=1e-9)
    assert image.header.spacing_known is True


def test_two_axes(tmp_path: Path) -> None:
    assert read(saved(tmp_path / "a.mha", ARRAY[0])).array.shape == (1, 4, 3)


def test_vectors_and_a_fourth_axis_are_chosen_from(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    path = saved(tmp_path / "v.nrrd", vectors, vector=True)
    with pytest.raises(UnreadableImageError, match=r'holds 5 volumes: save the one .* member="volume=0"'):
        read(path)
    np.testing.assert_array_equal(read(path, "volume=3").array[0], vectors[..., 3].T)
    four = SimpleITK.GetImageFromArray(vectors, isVector=False)
    SimpleITK.WriteImage(four, str(tmp_path / "f.mha"))
    np.testing.assert_array_equal(read(tmp_path / "f.mha", "volume=1").array[0], vectors[1].T)


def test_colours(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 3), np.uint8)
    np.testing.assert_array_equal(read(saved(tmp_path / "v.nrrd", colours, vector=True)).array, np.moveaxis(colours.T, 0, 0))


def test_voxels_outside_the_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    path = saved(tmp_path / "inner" / "a.mhd", ARRAY)
    (tmp_path / "secret.raw").write_bytes((tmp_path / "inner" / "a.raw").read_bytes())
    text = path.read_text()
    for where in ("../secret.raw", str(tmp_path / "secret.raw")):
        path.write_text(text.replace("a.raw", where))
        with pytest.raises(UnreadableImageError, match="outside its own folder"):
            read(path)
    path.write_text(text.replace("a.raw", "none.raw"))
    with pytest.raises(UnreadableImageError, match=r"none\.raw, which is not beside it"):
        read(path)


def test_a_header_that_claims_too_much_is_refused_at_once(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nrrd", ARRAY)
    path.write_bytes(path.read_bytes().replace(b"sizes: 4 3 2", b"sizes: 4000 3000 2"))
    with pytest.raises(UnreadableImageError, match="claims 4000×3000×2"):
        read(path)


def test_hdf5_gives_row_column_slice(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["image"], file["label"], file["other/flat"] = ARRAY, ARRAY % 3, ARRAY[0]
        file["name"] = "text"
    image = read(tmp_path / "a.h5")
    np.testing.assert_array_equal(image.array[0], ARRAY.transpose(1, 2, 0))
    assert image.header.spacing_known is False
    np.testing.assert_array_equal(read(tmp_path / "a.h5", "label").array[0], (ARRAY % 3).transpose(1, 2, 0))
    assert read(tmp_path / "a.h5", "other/flat").array.shape == (1, 3, 4)
    with pytest.raises(UnreadableImageError, match=r"no data set 'none'.*it has: image, label, other/flat"):
        read(tmp_path / "a.h5", "none")


def test_hdf5_without_an_obvious_image_asks(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["t1"], file["t2"] = ARRAY, ARRAY
    with pytest.raises(UnreadableImageError, match=r"2 data sets, and none called image: .* member=NAME among: t1, t2"):
        read(tmp_path / "a.h5")


def test_hdf5_does_not_follow_links_out_of_its_file(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["image"] = ARRAY
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["image"] = h5py.ExternalLink("secret.h5", "image")
    with pytest.raises(UnreadableImageError):
        read(tmp_path / "a.h5")
    (tmp_path / "raw").write_bytes(ARRAY.tobytes())
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_dataset("image", ARRAY.shape, ARRAY.dtype, external=[(str(tmp_path / "raw"), 0, ARRAY.nbytes)])
    with pytest.raises(UnreadableImageError, match="in another file"):
        read(tmp_path / "b.h5")


def test_real_cardiac_files(shared_data: Path) -> None:
    image = read(shared_data / "acdc" / "patient003_frame01.h5")
    assert image.array.shape == (1, 256, 256, 10)
    assert image.array.dtype == np.float32
