"""What is written comes back as it was, on the same grid; a mask comes onto its image's grid exactly or not at all."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from scipy.spatial.transform import Rotation

from casewise.errors import CasewiseError, UnreadableImageError
from casewise.formats import mask_suffix, read, read_mask, write, write_mask
from casewise.header import Header
from casewise.image import Image
from tests.formats.slicer_files import segment, slicer
from tests.formats.synthetic import Plan, enhanced, instance, pixels, placed, series

RNG = np.random.default_rng(5)
VOLUME = RNG.integers(-500, 500, (1, 4, 5, 6)).astype(np.int16)
LABELS = RNG.integers(0, 4, (4, 5, 6)).astype(np.uint8)
ORIENTATIONS = [(order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)]


def affine_of(order: tuple[int, ...], signs: tuple[int, ...], turn: np.ndarray | None = None) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = (turn if turn is not None else np.eye(3)) @ (np.eye(3)[:, order] * signs * (0.7, 1.5, 3.2))
    affine[:3, 3] = (-91.5, 120.25, -33.0)
    return affine


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_images_and_masks_come_back_in_all_48_orientations(tmp_path: Path, suffix: str) -> None:
    for order, signs in ORIENTATIONS:
        image = Image(VOLUME, affine_of(order, signs))
        back = read(write(tmp_path / f"a{suffix}", image))
        np.testing.assert_array_equal(back.array, VOLUME)
        assert back.array.dtype == VOLUME.dtype
        np.testing.assert_allclose(back.affine, image.affine, atol=1e-5)
        mask = read(write_mask(tmp_path / f"m{suffix}", LABELS, image))
        np.testing.assert_array_equal(mask.array[0], LABELS)
        np.testing.assert_allclose(mask.affine, image.affine, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    suffix=st.sampled_from([".nii", ".nii.gz", ".nrrd", ".mha"]),
    axes=st.sampled_from([2, 3]),
)
def test_oblique_grids_come_back(tmp_path_factory: pytest.TempPathFactory, angles, suffix: str, axes: int) -> None:
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    array = VOLUME if axes == 3 else VOLUME[..., 0]
    image = Image(array, affine_of((1, 0, 2), (1, -1, 1), turn))
    back = read(write(tmp_path_factory.mktemp("w") / f"a{suffix}", image))
    np.testing.assert_array_equal(back.array, array)
    np.testing.assert_allclose(back.affine, image.affine, atol=2e-5)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_a_sheared_grid_comes_back(tmp_path: Path, suffix: str) -> None:
    affine = affine_of((0, 1, 2), (1, 1, 1))
    affine[1, 2] = 0.9
    np.testing.assert_allclose(read(write(tmp_path / f"a{suffix}", Image(VOLUME, affine))).affine, affine, atol=1e-5)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_an_unknown_spacing_stays_unknown(tmp_path: Path, suffix: str) -> None:
    image = Image(VOLUME, header=Header(spacing_known=False))
    assert read(write(tmp_path / f"a{suffix}", image)).header.spacing_known is False
    assert read(write(tmp_path / f"b{suffix}", Image(VOLUME))).header.spacing_known is True


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_what_is_known_of_a_grid_stays_so(tmp_path: Path, suffix: str) -> None:
    """Of an image that does not say how it lies in the patient, and of its mask, which has its geometry."""
    affine = affine_of((0, 1, 2), (1, -1, 1))
    for spacing, orientation in product((True, False), repeat=2):
        image = Image(VOLUME, affine, Header(spacing_known=spacing, orientation_known=orientation))
        mask = write_mask(tmp_path / f"m{suffix}", LABELS, image)
        for back in (read(write(tmp_path / f"a{suffix}", image)), read(mask)):
            assert (back.header.spacing_known, back.header.orientation_known) == (spacing, orientation)
            np.testing.assert_allclose(back.affine, affine, atol=2e-5)
        np.testing.assert_array_equal(read_mask(mask, image), LABELS > 0)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha", ".png", ".tif"])
def test_colours_come_back(tmp_path: Path, suffix: str) -> None:
    colours = RNG.integers(0, 256, (3, 6, 4), np.uint8)
    np.testing.assert_array_equal(read(write(tmp_path / f"a{suffix}", Image(colours))).array, colours)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_masks_of_pictures_come_back(tmp_path: Path, suffix: str) -> None:
    like = Image(VOLUME[..., 0], header=Header(spacing_known=False))
    labels = LABELS[..., 0]
    path = write_mask(tmp_path / f"m{suffix}", labels, like)
    for value in range(4):
        np.testing.assert_array_equal(read_mask(path, like, value=value), labels == value)
    path = write_mask(tmp_path / f"b{suffix}", labels > 1, like)
    assert read(path).array.max() == 255
    np.testing.assert_array_equal(read_mask(path, like), labels > 1)


def test_a_mask_of_a_dicom_series_comes_back(tmp_path: Path) -> None:
    turn = Rotation.from_euler("xyz", [31, 5, -62], degrees=True).as_matrix()
    series(tmp_path / "s", Plan(turn[0], -turn[1]))
    image = read(tmp_path / "s")
    mask = RNG.random(image.spatial_shape) > 0.5
    assert mask_suffix(image) == ".nii.gz"
    path = write_mask(tmp_path / f"m{mask_suffix(image)}", mask, image)
    np.testing.assert_array_equal(read_mask(path, image), mask)
    np.testing.assert_allclose(read(path).affine, image.affine, atol=1e-5)


def test_a_mask_of_one_slice_lies_where_the_slice_lies(tmp_path: Path) -> None:
    plan = Plan((0, 1, 0), (0, 0, -1))
    image = read(enhanced(tmp_path / "a.dcm", plan, [0, 1, 2]), "frame=2")
    mask = RNG.random(image.spatial_shape) > 0.5
    path = write_mask(tmp_path / "m.nii.gz", mask, image)
    np.testing.assert_array_equal(read_mask(path, image), mask)
    other = read(tmp_path / "a.dcm", "frame=1")
    with pytest.raises(UnreadableImageError, match="lies on another grid"):
        read_mask(path, other)


@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
def test_permuted_and_flipped_masks_are_turned_exactly(tmp_path: Path, order: tuple[int, ...], signs: tuple[int, ...]) -> None:
    like = Image(VOLUME, affine_of((0, 1, 2), (1, 1, 1)))
    flips = [axis for axis in range(3) if signs[axis] < 0]
    turned = np.flip(LABELS.transpose(order), flips)
    # From the turned mask's voxel indices to those of the image.
    change = np.zeros((4, 4))
    change[3, 3] = 1
    for axis in range(3):
        change[order[axis], axis] = signs[axis]
        change[order[axis], 3] = turned.shape[axis] - 1 if signs[axis] < 0 else 0
    path = write_mask(tmp_path / "m.nrrd", turned, Image(turned[None], like.affine @ change))
    np.testing.assert_array_equal(read_mask(path, like, value=2), LABELS == 2)


def test_another_grid_is_refused(tmp_path: Path) -> None:
    like = Image(VOLUME, affine_of((0, 1, 2), (1, 1, 1)))
    shifted, finer, smaller = like.affine.copy(), like.affine.copy(), LABELS[:-1]
    shifted[0, 3] += 0.2
    finer[:3, 0] /= 2
    for labels, affine in ((LABELS, shifted), (LABELS, finer), (smaller, like.affine)):
        path = write_mask(tmp_path / "m.nii.gz", labels, Image(labels[None], affine))
        with pytest.raises(UnreadableImageError, match=r"another grid.*resample"):
            read_mask(path, like)
    path = write_mask(tmp_path / "m.nii.gz", LABELS, Image(LABELS[None], finer))
    with pytest.raises(UnreadableImageError) as caught:
        read_mask(path, like)
    there, here = (" × ".join(f"{step:.4g}" for step in Image(VOLUME, affine).spacing) for affine in (finer, like.affine))
    assert there != here and f"of {there} against {here} mm" in str(caught.value)
    nearly = like.affine.copy()
    nearly[0, 3] += 1e-3
    path = write_mask(tmp_path / "m.nii.gz", LABELS, Image(LABELS[None], nearly))
    np.testing.assert_array_equal(read_mask(path, like), LABELS > 0)


def test_masks_without_a_place_go_by_shape(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["image"], file["label"] = VOLUME[0].transpose(2, 0, 1), LABELS.transpose(2, 0, 1)
    like = read(tmp_path / "a.h5")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.h5", like, member="label", value=1), LABELS == 1)
    other = Image(VOLUME[:, :-1], header=Header(spacing_known=False))
    with pytest.raises(UnreadableImageError, match=r"has the shape \(4, 5, 6\), its image \(3, 5, 6\)"):
        read_mask(tmp_path / "a.h5", other, member="label")


def nowhere(path: Path, labels: np.ndarray, unit: str = "mm", said: str = "") -> Path:
    """A file of voxels without a word on where they lie, as converters leave it. said : further lines of a header that is text."""
    sizes = " ".join(map(str, labels.shape))
    bare = {
        ".nrrd": f"NRRD0004\ntype: uint8\ndimension: 3\nsizes: {sizes}\nencoding: raw\n{said}\n",
        ".mha": f"NDims = 3\nDimSize = {sizes}\n{said}ElementType = MET_UCHAR\nElementDataFile = LOCAL\n",
    }
    if path.suffix in bare:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bare[path.suffix].encode() + labels.tobytes(order="F"))
        return path
    file = nib.Nifti1Image(labels, None)
    file.header.set_zooms((1, 1, 2))
    file.header.set_xyzt_units(unit)
    nib.save(file, path)
    return path


@pytest.mark.parametrize("name", ["m.nii.gz", "m.nrrd", "m.mha"])
@pytest.mark.parametrize("size", [(8, 8), (7, 9)])
def test_a_volume_mask_without_a_place_never_comes_onto_a_dicom_volume(tmp_path: Path, name: str, size: tuple[int, int]) -> None:
    """Whether columns or rows come first, and from which end the slices, a shape does not say."""
    (tmp_path / "s").mkdir()
    for index in range(3):
        instance(tmp_path / "s" / str(index), pixels(index, *size), InstanceNumber=index, **placed(Plan(), index))
    image = read(tmp_path / "s")
    labels = np.zeros(image.spatial_shape, np.uint8)
    labels[2:4, 4:7, 0] = 1
    for unit, array in product(("mm", "unknown"), (labels, labels.transpose(1, 0, 2))):
        path = nowhere(tmp_path / name, array, unit)
        assert not read(path).header.placed
        with pytest.raises(UnreadableImageError, match=rf"{name} does not say where its voxels lie, .* save the mask"):
            read_mask(path, image)


def test_volumes_of_one_kind_of_file_need_no_place(tmp_path: Path) -> None:
    labels = np.zeros((8, 8, 3), np.uint8)
    labels[2:4, 4:7, 0] = 1
    for suffix in (".nii.gz", ".nrrd", ".mha"):
        image = read(nowhere(tmp_path / f"i{suffix}", labels + 7))
        np.testing.assert_array_equal(read_mask(nowhere(tmp_path / f"m{suffix}", labels), image), labels > 0)
    # One of the two may have lost its place.
    image = read(write(tmp_path / "i.nii.gz", Image(labels[None], affine_of((0, 1, 2), (1, 1, 1)))))
    np.testing.assert_array_equal(read_mask(nowhere(tmp_path / "m.nii.gz", labels), image), labels > 0)


SIZES = {".nrrd": "spacings: 1 1.5 2\n", ".mha": "ElementSpacing = 1 1.5 2\n"}
OWN = {".nrrd": f"{SIZES['.nrrd']}axis mins: 4.5 4.25 4\n", ".mha": f"{SIZES['.mha']}Offset = 5 5 5\n"}
LPS = np.array([[-1, 0, 0, -5], [0, -1.5, 0, -5], [0, 0, 2, 5], [0, 0, 0, 1.0]])  # how ITK reads OWN
IN_PART = np.zeros((8, 8, 3), np.uint8)
IN_PART[2:4, 4:7, 0] = 1


@pytest.mark.parametrize("own", [".nrrd", ".mha"])
def test_a_mask_of_a_volume_in_a_space_of_its_own(tmp_path: Path, own: str) -> None:
    """Where its file says no more than its image's; in ITK's reading of the space (LPS) and in Slicer's and nibabel's (RAS)."""
    image = read(nowhere(tmp_path / f"i{own}", IN_PART + 7, said=OWN[own]))
    np.testing.assert_allclose(image.affine, LPS)
    assert image.header.spacing_known and not image.header.orientation_known
    of_itk = SimpleITK.ReadImage(str(tmp_path / f"i{own}")) > 7
    for suffix in (".nrrd", ".mha", ".nii.gz"):
        SimpleITK.WriteImage(of_itk, str(tmp_path / f"itk{suffix}"))
        given = [tmp_path / f"itk{suffix}", write_mask(tmp_path / f"m{suffix}", IN_PART, image)]
        given.append(write(tmp_path / f"ras{suffix}", Image(IN_PART[None], np.diag([-1.0, -1, 1, 1]) @ LPS)))
        for path in [*given, *([nowhere(tmp_path / f"own{suffix}", IN_PART, said=OWN[suffix])] if suffix in OWN else [])]:
            np.testing.assert_array_equal(read_mask(path, image), IN_PART > 0, err_msg=path.name)


@pytest.mark.parametrize("own", [".nrrd", ".mha"])
def test_a_mask_is_never_turned_by_a_guess(tmp_path: Path, own: str) -> None:
    """A mask that lies in the patient fits, turned, where ITK supposes its image; the image does not say that it lies so."""
    image = read(nowhere(tmp_path / f"i{own}", IN_PART + 7, said=OWN[own]))
    for axis in range(3):
        change = np.diag([-1.0 if axis == number else 1.0 for number in range(4)])
        change[axis, 3] = IN_PART.shape[axis] - 1
        turned = Image(np.flip(IN_PART, axis)[None], LPS @ change)
        for path in (write(tmp_path / "m.nii.gz", turned), write(tmp_path / "m.nrrd", turned)):
            with pytest.raises(UnreadableImageError, match=r"another grid .* only one says how its axes run in the patient"):
                read_mask(path, image)
            np.testing.assert_array_equal(read_mask(path, Image(image.array, LPS)), IN_PART > 0)
        mask = nowhere(tmp_path / f"m{own}", np.ascontiguousarray(IN_PART), said=OWN[own])
        with pytest.raises(UnreadableImageError, match="only one says how its axes run in the patient"):
            read_mask(mask, turned)
    elsewhere = nowhere(tmp_path / f"m{own}", IN_PART, said=SIZES[own])
    with pytest.raises(UnreadableImageError, match="neither says how its axes run in the patient"):
        read_mask(elsewhere, image)


@pytest.mark.parametrize("own", [".nrrd", ".mha"])
def test_a_mask_in_a_space_of_its_own_never_comes_onto_a_dicom_volume(tmp_path: Path, own: str) -> None:
    """Not even at the place where ITK supposes it: rows or columns may come first, and nothing says so."""
    (tmp_path / "s").mkdir()
    plan = Plan(spacing=(1.5, 1.0), origin=(5.0, 5.0, 5.0), gap=2.0)
    for index in range(3):
        instance(tmp_path / "s" / str(index), pixels(index, 8, 8), InstanceNumber=index, **placed(plan, index))
    image = read(tmp_path / "s")
    path = nowhere(tmp_path / f"m{own}", IN_PART, said=OWN[own])
    assert set(map(tuple, image.affine.T.round(6))) == set(map(tuple, read(path).affine.T.round(6)))
    with pytest.raises(UnreadableImageError, match=r"does not say where its voxels lie, .* save the mask"):
        read_mask(path, image)


def test_a_segmentation_of_slicer_on_a_volume_in_a_space_of_its_own(tmp_path: Path) -> None:
    """Of a part of it: Slicer takes such a space for RAS, other programs for LPS. None is turned."""
    image = read(nowhere(tmp_path / "scan.nrrd", IN_PART, said=SIZES[".nrrd"]))
    part, first = IN_PART[None, 1:, 2:], np.eye(4)
    first[:3, 3] = (1, 2, 0)
    for affine in (image.affine, np.diag([-1.0, -1, 1, 1]) @ image.affine):
        path = slicer(tmp_path / "scan.seg.nrrd", part, affine @ first, segment(0, "x", 1))
        np.testing.assert_array_equal(read_mask(path, image), IN_PART > 0)
    first[0] = (-1, 0, 0, 7)
    path = slicer(tmp_path / "scan.seg.nrrd", part[:, ::-1], image.affine @ first, segment(0, "x", 1))
    placed_image = Image(image.array, image.affine)
    np.testing.assert_array_equal(read_mask(path, placed_image), IN_PART > 0)
    lost = tmp_path / "lost.seg.nrrd"
    lost.write_bytes(path.read_bytes().replace(b"space: left-posterior-superior", b"space dimension: 3"))
    for mask, of in ((path, image), (lost, placed_image)):
        with pytest.raises(UnreadableImageError, match="only one says how its axes run in the patient"):
            read_mask(mask, of)


def test_a_volume_mask_in_another_kind_of_file_is_turned_by_its_shape_alone(tmp_path: Path) -> None:
    """HDF5 counts rows first, NIfTI columns."""
    for size in ((8, 8, 3), (7, 9, 3)):
        labels = np.zeros(size, np.uint8)
        labels[2:4, 4:7, 0] = 1
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["image"] = np.moveaxis(labels + 7, -1, 0)
        image = read(tmp_path / "a.h5")
        assert image.spatial_shape == size
        path = nowhere(tmp_path / "m.nii.gz", labels.transpose(1, 0, 2))
        if size[0] == size[1]:
            with pytest.raises(UnreadableImageError, match=r"both are square.*rows or columns come first"):
                read_mask(path, image)
        else:
            np.testing.assert_array_equal(read_mask(path, image), labels > 0)
            path = write(tmp_path / "m.nii.gz", Image(labels.transpose(1, 0, 2)[None], affine_of((0, 1, 2), (1, 1, 1))))
            with pytest.raises(UnreadableImageError, match="only one says where its axes run"):
                read_mask(path, image)
        # What casewise writes for the image is of the array as it was.
        np.testing.assert_array_equal(read_mask(write_mask(tmp_path / "own.nii.gz", labels, image), image), labels > 0)


def test_a_coarser_or_finer_picture_mask_fits_by_a_whole_factor(tmp_path: Path) -> None:
    mask = RNG.random((6, 4)) > 0.5
    path = tmp_path / "m.png"
    Pillow.fromarray(mask.astype(np.uint8) * 255).save(path)
    picture = {"spacing_known": False}
    fitted = read_mask(path, Image(np.zeros((1, 12, 8)), header=picture))
    np.testing.assert_array_equal(fitted, np.kron(mask, np.ones((2, 2))) > 0)
    Pillow.fromarray(fitted.astype(np.uint8) * 255).save(path)
    np.testing.assert_array_equal(read_mask(path, Image(np.zeros((1, 6, 4)), header=picture)), mask)
    for shape in ((1, 6, 8), (1, 18, 8), (1, 9, 6)):
        with pytest.raises(UnreadableImageError, match="has the shape"):
            read_mask(path, Image(np.zeros(shape), header=picture))


def test_a_colour_mask_is_refused(tmp_path: Path) -> None:
    Pillow.fromarray(RNG.integers(0, 256, (4, 4, 3), np.uint8)).save(tmp_path / "m.png")
    with pytest.raises(UnreadableImageError, match="colour picture"):
        read_mask(tmp_path / "m.png", Image(np.zeros((1, 4, 4)), header=Header(spacing_known=False)))


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    image = Image(VOLUME)
    for name, words in (("a.jpg", "suffix is .jpg"), ("a", "suffix is missing"), ("a.png", "cannot hold a volume")):
        with pytest.raises(CasewiseError, match=words):
            write(tmp_path / name, image)
    with pytest.raises(CasewiseError, match=r"write a \.tif"):
        write(tmp_path / "a.png", Image(np.zeros((1, 3, 3), np.float32)))
    with pytest.raises(CasewiseError, match="mask's shape"):
        write_mask(tmp_path / "a.nrrd", LABELS[1:], image)
    with pytest.raises(CasewiseError, match="whole numbers from 0 to 255"):
        write_mask(tmp_path / "a.nrrd", LABELS.astype(np.int16) + 300, image)
    (tmp_path / "file").write_text("")
    with pytest.raises(CasewiseError, match="cannot be written"):
        write(tmp_path / "file" / "a.nii.gz", image)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nibabel

    path = write(tmp_path / "a.nii.gz", Image(VOLUME))
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(nibabel.Nifti1Image, "to_stream", full)
    with pytest.raises(CasewiseError, match="No space left on device"):
        write(path, Image(VOLUME + 1))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.nii.gz"]


def test_real_masks_fit_their_images(shared_data: Path) -> None:
    image = read(shared_data / "jsrt" / "images" / "JPCLN012.png")
    assert image.array.shape == (1, 2048, 2048)
    masks = sorted((shared_data / "jsrt" / "masks").rglob("*JPCLN012*"))
    assert len(masks) == 5
    assert all(0.005 < read_mask(mask, image).mean() < 0.4 for mask in masks)
    flair = read(shared_data / "wmh" / "2516038876" / "t2flair-stripped.nii.gz")
    truth = read_mask(shared_data / "wmh" / "2516038876" / "gt.nii.gz", flair)
    assert truth.shape == flair.spatial_shape
    assert 0 < truth.mean() < 0.2
    brain = read(shared_data / "pyradiomics-mr" / "brain1_image.nrrd")
    assert read_mask(shared_data / "pyradiomics-mr" / "brain1_label.nrrd", brain).any()
