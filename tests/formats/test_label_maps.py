"""Label maps in and out of files, and never onto another grid than their own."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import casewise
from casewise.errors import CasewiseError
from casewise.formats import read, read_label_map, write, write_mask
from casewise.image import Image
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
