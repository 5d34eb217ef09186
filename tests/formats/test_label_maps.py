"""Label maps in and out of files, and never onto another grid than their own."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import casewise
from casewise.errors import CasewiseError
from casewise.formats import read, read_label_map, write, write_mask
from casewise.header import Header
from casewise.image import Box, Image
from casewise.label_map import LabelMap
from tests.formats.test_segmentations import series

AFFINE = np.array([[0.0, 0, -3, 10], [2, 0, 0, -20], [0, 1.5, 0, 30], [0, 0, 0, 1]])


def apart() -> LabelMap:
    labels = np.zeros((4, 5, 6), np.uint8)
    labels[1:3, 1, 2], labels[3, 4, 5] = 1, 2
    return LabelMap.from_labels(labels, ("heart", "lung"), AFFINE)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_a_label_map_comes_back(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"m{suffix}", apart())
    image = read(path)
    found = read_label_map(path, image)
    assert found.names == ("label_1", "label_2")
    np.testing.assert_array_equal(found.labels(), apart().labels())
    np.testing.assert_allclose(found.affine, AFFINE, atol=1e-4)
    # A file whose axes run otherwise is turned onto the image's grid.
    turned = write(tmp_path / f"t{suffix}", apart().reorient("RAS"))
    np.testing.assert_array_equal(read_label_map(turned, image).labels(), apart().labels())


def test_overlapping_structures_have_no_label_file(tmp_path: Path) -> None:
    both = apart() | {"all": np.ones((4, 5, 6), bool)}
    with pytest.raises(CasewiseError, match="heart and all share voxels"):
        write(tmp_path / "m.nii.gz", both)
    assert not any(tmp_path.iterdir())


def test_a_label_map_goes_onto_its_own_grid_alone(tmp_path: Path) -> None:
    image = Image(np.zeros((1, 4, 5, 6)), AFFINE)
    np.testing.assert_array_equal(read(write_mask(tmp_path / "m.nii.gz", apart(), image)).array[0], apart().labels())
    moved = Image(image.array, AFFINE + np.eye(4)[:, [3, 0, 1, 2]])
    with pytest.raises(CasewiseError, match="not on the image's grid"):
        write_mask(tmp_path / "n.nii.gz", apart(), moved)
    single = nib.Nifti1Image((apart()["heart"]).astype(np.uint8), AFFINE)
    single.to_filename(tmp_path / "one.nii.gz")
    assert read_label_map(tmp_path / "one.nii.gz", image).names == ("mask",)


def test_a_segmentation_object_takes_label_maps_and_keeps_names(tmp_path: Path) -> None:
    image = series(tmp_path / "s")
    one, two = np.zeros(image.spatial_shape, bool), np.zeros(image.spatial_shape, bool)
    one[1:4, 2:5, 1:3], two[2:6, 3:7, 2] = True, True
    masks = LabelMap({"liver": one, "lesion": two}, image.affine)
    found = read_label_map(casewise.write_segmentation(tmp_path / "seg.dcm", masks, image), image)
    assert found.names == ("liver", "lesion")
    np.testing.assert_array_equal(found["lesion"], two)
    with pytest.raises(CasewiseError, match="not on the image's grid"):
        casewise.write_segmentation(tmp_path / "other.dcm", LabelMap({"liver": one}), image)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize(("spacing", "orientation"), [(True, False), (False, False), (True, True)])
def test_a_label_map_says_no_more_of_its_grid_than_the_image(tmp_path: Path, suffix: str, spacing: bool, orientation: bool) -> None:
    """Written without the image beside it: whole, cropped, joined with others and on the image's grid."""
    header = Header(spacing_known=spacing, orientation_known=orientation)
    image = Image(np.zeros((1, 4, 5, 6), np.uint8), AFFINE, header)
    whole = LabelMap.like({"heart": apart()["heart"]}, image)
    elsewhere = LabelMap({"heart": apart()["heart"]}, AFFINE)
    made = (whole, whole.crop(Box((0, 0, 0), (4, 3, 4))), whole | {"lung": apart()["lung"]}, elsewhere.resample_like(whole))
    for number, label_map in enumerate(made):
        found = read(write(tmp_path / f"{number}{suffix}", label_map)).header
        assert (found.spacing_known, found.orientation_known) == (spacing, orientation)
    assert ("unknown size" in repr(whole)) is not (spacing and orientation)
    if orientation:
        assert whole.reorient("RAS").header.orientation_known
    else:
        with pytest.raises(CasewiseError, match="does not say where its axes run to in the patient"):
            whole.reorient("RAS")


def test_a_label_map_of_a_picture_lies_in_its_file_as_the_picture_does(tmp_path: Path) -> None:
    pixels = np.zeros((1, 6, 1, 4), np.uint8)
    nib.save(nib.Nifti1Image(pixels[0], np.diag([2.0, 3, 4, 1])), tmp_path / "plane.nii.gz")
    image = read(tmp_path / "plane.nii.gz")
    drawn = np.zeros(image.spatial_shape, bool)
    drawn[1, 2] = True
    written = write(tmp_path / "m.nii.gz", LabelMap.like({"heart": drawn}, image))
    assert nib.load(written).shape == (6, 1, 4)
    np.testing.assert_allclose(nib.load(written).affine, np.diag([2.0, 3, 4, 1]))
    np.testing.assert_array_equal(read(written).array[0], drawn)
