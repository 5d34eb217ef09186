"""NRRD, MetaImage and HDF5."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import SimpleITK

from casewise.errors import CasewiseError, UnreadableImageError
from casewise.formats import read
from casewise.orientation import directions_of
from casewise.reporting.planes import planes as report_planes
from casewise.server.geometry import planes as server_planes
from tests.formats.test_masks import nowhere

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


KNOWN = {
    ".nrrd": [
        *(f"space: {space}\nspace directions: (0,2,0) (1,0,0) (0,0,3)\n" for space in ("RAS", "las", "left-posterior-superior")),
        "space: right-anterior-superior\nspace directions: (1,0,0) (0,2,0) (0,0,3)\nspace origin: (1,2,3)\n",
    ],
    ".mha": [
        *(f"ElementSpacing = 1 2 3\n{name} = 0 1 0 1 0 0 0 0 1\n" for name in ("TransformMatrix", "Rotation", "Orientation")),
        "ElementSpacing = 1 2 3\nAnatomicalOrientation = RAI\n",
    ],
}
UNKNOWN = {
    ".nrrd": [
        "spacings: 1 2 3\n",
        "spacings: 1 2 3\naxis mins: 5 6 7\nkinds: space space space\n",
        *(
            f"{space}\nspace directions: (0,2,0) (1,0,0) (0,0,-3)\nspace origin: (1,2,3)\n"
            for space in ("space dimension: 3", "space: scanner-xyz", "space: 3D-right-handed", "space: 3D-left-handed")
        ),
    ],
    ".mha": [
        "ElementSpacing = 1 2 3\n",
        "ElementSize = 1 2 3\nOffset = 5 6 7\n",
        *(f"ElementSpacing = 1 2 3\nAnatomicalOrientation = {letters}\n" for letters in ("???", "RPI", "LPS")),
    ],
}


@pytest.mark.parametrize(
    ("suffix", "said", "known"),
    [(suffix, said, known) for known, files in ((True, KNOWN), (False, UNKNOWN)) for suffix in files for said in files[suffix]],
)
def test_only_a_header_that_names_the_patients_axes_says_how_they_run(tmp_path: Path, suffix: str, said: str, known: bool) -> None:
    """ITK takes the others for LPS, Slicer an NRRD file for RAS. A volume of one plane is no different."""
    for array in (ARRAY, ARRAY[:1]):
        path = nowhere(tmp_path / f"a{suffix}", array.T.astype(np.uint8), said=said)
        image = read(path)
        assert (image.header.spacing_known, image.header.orientation_known) == (True, known)
        assert sorted(image.spacing) == sorted((1, 2, 3)[: image.spatial_dims])
    image, peer = read(nowhere(path, ARRAY.T.astype(np.uint8), said=said)), SimpleITK.ReadImage(str(path))
    there = np.array([peer.TransformIndexToPhysicalPoint(index) for index in np.ndindex(4, 3, 2)])
    np.testing.assert_allclose(there * (-1, -1, 1), [(image.affine @ [*index, 1])[:3] for index in np.ndindex(4, 3, 2)], atol=1e-9)
    if known:
        assert image.reorient("RAS").spatial_shape in ((4, 3, 2), (3, 4, 2))
    else:
        with pytest.raises(CasewiseError, match="does not say where its axes run to in the patient"):
            image.reorient("RAS")
    letters = {plane.letters is not None for plane in server_planes(image)} | {
        plane.edges[0] != "" for plane in report_planes(image)
    }
    assert letters == {known}, "a page and a report name sides"


TIMES = {"RAST": (1, 1), "right-anterior-superior-time": (1, 1), "LAST": (-1, 1), "left-anterior-superior-time": (-1, 1)}
TIMES |= {"LPST": (-1, -1), "Left-Posterior-Superior-Time": (-1, -1)}


@pytest.mark.parametrize("kinds", ["", "kinds: domain domain domain time\n", "kinds: space space space space\n"])
@pytest.mark.parametrize("space", TIMES)
def test_a_volume_over_time_lies_where_its_space_says(tmp_path: Path, space: str, kinds: str) -> None:
    """ITK turns the patient's axes to LPS where there is no time among them, and no others: these came mirrored or unknown."""
    array = np.arange(2 * 3 * 4 * 2, dtype=np.uint8).reshape(2, 3, 4, 2)
    for last in ("(0,0,0,5)", "none"):
        said = f"space: {space}\n{kinds}space directions: (1,0,0,0) (0,2,0,0) (0,0,3,0) {last}\nspace origin: (10,20,30,0)\n"
        said += 'space units: "mm" "mm" "mm" "s"\n'
        if last == "none" and "time" not in kinds:
            continue  # nothing says what the fourth axis is
        head = f"NRRD0005\ntype: uint8\ndimension: 4\nsizes: 2 3 4 2\nencoding: raw\n{said}\n"
        (tmp_path / "a.nrrd").write_bytes(head.encode() + array.tobytes(order="F"))
        image = read(tmp_path / "a.nrrd", "volume=1")
        right, forward = TIMES[space]
        expected = [[right, 0, 0, 10 * right], [0, 2 * forward, 0, 20 * forward], [0, 0, 3, 30], [0, 0, 0, 1]]
        np.testing.assert_array_equal(image.affine, expected)
        np.testing.assert_array_equal(image.array[0], array[..., 1])
        assert (image.header.spacing_known, image.header.orientation_known) == (True, True)


def test_time_that_comes_first_and_spaces_with_time_that_are_not_the_patients(tmp_path: Path) -> None:
    array = np.arange(2 * 3 * 4 * 2, dtype=np.uint8).reshape(2, 3, 4, 2)
    for space, known in (("RAST", True), ("scanner-xyz-time", False), ("3D-right-handed-time", False)):
        said = f"space: {space}\nspace directions: (0,0,0,5) (1,0,0,0) (0,2,0,0) (0,0,3,0)\n"
        head = f"NRRD0005\ntype: uint8\ndimension: 4\nsizes: 2 3 4 2\nencoding: raw\n{said}\n"
        (tmp_path / "a.nrrd").write_bytes(head.encode() + array.tobytes(order="F"))
        image = read(tmp_path / "a.nrrd", "volume=1")
        assert image.header.orientation_known is known
        np.testing.assert_array_equal(image.array[0], array[1])


@pytest.mark.parametrize(
    ("directions", "sentence"),
    [
        ("(1,0,0,0) (0,2,0,0) (0,0,3,1) none", "runs through space and time at once"),
        ("(1,0,0) (0,2,0) (0,0,3) none", "space directions in a space with time is of 4 numbers"),
        ("(1,0,0,0) (0,2,0,0) (0,0,x,0) none", "space directions in a space with time is of 4 numbers"),
    ],
)
def test_axes_that_no_space_with_time_has_are_refused(tmp_path: Path, directions: str, sentence: str) -> None:
    head = f"NRRD0005\ntype: uint8\ndimension: 4\nsizes: 4 3 1 2\nencoding: raw\nspace: RAST\nspace directions: {directions}\n\n"
    (tmp_path / "a.nrrd").write_bytes(head.encode() + bytes(24))
    with pytest.raises(UnreadableImageError, match=sentence):
        read(tmp_path / "a.nrrd", "volume=1")


@pytest.mark.parametrize(
    ("sizes", "spacings", "known"),
    [
        ("4 3 2", "nan nan nan", False),
        ("4 3 2", "0.5 0.5 nan", False),
        ("4 3 2", "NaN 1 1", False),
        ("4 3 1", "0.5 0.5 nan", True),
        ("4 3 2", "0.5 0.5 2", True),
    ],
)
def test_a_spacing_that_is_not_known_is_not_stated(tmp_path: Path, sizes: str, spacings: str, known: bool) -> None:
    """Teem's word for it is nan, for which ITK takes 1 mm; of one plane alone no thickness is needed."""
    head = f"NRRD0005\ntype: uint8\ndimension: 3\nsizes: {sizes}\nencoding: raw\nspacings: {spacings}\n\n"
    (tmp_path / "a.nrrd").write_bytes(head.encode() + bytes(24 if sizes[-1] == "2" else 12))
    header = read(tmp_path / "a.nrrd").header
    assert (header.spacing_known, header.orientation_known) == (known, False)


def test_a_picture_in_a_space_without_a_name_states_no_sides(tmp_path: Path) -> None:
    """Two axes in a space of three, which would be a coronal plane in LPS."""
    for space, known in (("space: LPS", True), ("space: scanner-xyz", False), ("space dimension: 3", False)):
        said = f"{space}\nspace directions: (1,0,0) (0,0,-1)\nspace origin: (1,2,3)\n"
        head = f"NRRD0005\ntype: uint8\ndimension: 2\nsizes: 4 3\nencoding: raw\n{said}\n"
        (tmp_path / "a.nrrd").write_bytes(head.encode() + bytes(12))
        assert (directions_of(read(tmp_path / "a.nrrd")) is not None) is known


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
