"""The voxels that clients count, against those of the image: the same places in the patient, right-handed, and exactly back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from casewise.errors import UsageError
from casewise.formats import read, write
from casewise.header import Header
from casewise.image import Box, Image
from casewise.server.compat.monailabel.grid import ClientGrid
from casewise.server.compat.monailabel.label_files import read_labels
from tests.formats.test_masks import IN_PART, OWN, SIZES, nowhere
from tests.server.compat.monailabel import scenes


def everyone(folder: Path) -> list[scenes.Scene]:
    made = [scenes.volume(folder, kind) for kind in scenes.KINDS]
    both = [scenes.series(folder / str(down), down) for down in (False, True)]
    return [*made, *both, scenes.picture(folder), scenes.frame(folder)]


def test_each_voxel_keeps_its_place_on_a_right_handed_grid_and_comes_back_exactly(tmp_path: Path) -> None:
    for scene in everyone(tmp_path):
        image = read(scene.path)
        grid = ClientGrid.of(image)
        assert np.linalg.det(grid.affine[:3, :3]) > 0, scene.path
        outward = grid.outward(image.array[0])
        assert outward.shape == grid.shape
        assert np.array_equal(grid.inward(outward), image.array[0]), scene.path
        point = [3, 5, min(4, grid.shape[2] - 1)]
        (own,) = grid.places([point])
        assert outward[tuple(point)] == image.array[0][tuple(own)]
        if image.header.placed and image.spatial_dims == 3:
            there = grid.affine[:3, :3] @ point + grid.affine[:3, 3]
            assert np.allclose(there, image.affine[:3, :3] @ own + image.affine[:3, 3]), scene.path


def test_a_client_that_has_the_file_itself_counts_as_the_file_does(tmp_path: Path) -> None:
    image = read(scenes.volume(tmp_path, "LAS").path)
    as_stored = ClientGrid.of(image, as_stored=True)
    assert np.array_equal(as_stored.outward(image.array[0]), image.array[0])
    assert np.allclose(as_stored.affine, image.affine)
    assert ClientGrid.of(image).flipped


def test_a_region_of_interest_may_be_reversed_and_reach_beyond_the_image(tmp_path: Path) -> None:
    for scene in everyone(tmp_path):
        image = read(scene.path)
        grid = ClientGrid.of(image)
        last = min(6, grid.shape[2] - 1)
        roi = [20, 4, -3, 7, last, 0]
        box = grid.box(roi)
        inside = np.zeros(grid.shape, bool)
        inside[4:21, 0:8, 0 : last + 1] = True
        assert Box.around(grid.inward(inside)) == box, scene.path


def test_what_lies_outside_is_refused(tmp_path: Path) -> None:
    grid = ClientGrid.of(read(scenes.volume(tmp_path, "LAS").path))
    with pytest.raises(UsageError, match=r"The point \[40, 0, 0\] lies outside the image of 40×36×30 voxels"):
        grid.places([[1, 1, 1], [40, 0, 0]])
    with pytest.raises(UsageError, match="lies outside the image"):
        grid.box([50, 60, 0, 5, 0, 5])


def test_a_loop_and_a_colour_picture_are_served_as_grey_volumes() -> None:
    frames = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(1, 4, 5, 3)
    loop = Image(frames, header=Header(third_axis="time", spacing_known=False, format="DICOM"))
    grid = ClientGrid.of(loop)
    assert grid.shape == (5, 4, 3)
    assert np.array_equal(grid.image(loop).array[0, :, :, 1], frames[0, :, :, 1].T)
    colour = Image(np.stack([np.full((4, 5), value, np.uint8) for value in (200, 100, 10)]))
    shown = ClientGrid.of(colour).image(colour)
    assert shown.array.shape == (1, 5, 4, 1)
    assert shown.array.dtype == np.uint8
    assert set(np.unique(shown.array)) == {120}


def test_a_label_that_says_nothing_of_where_it_lies_is_none_of_a_series(tmp_path: Path) -> None:
    """Its axes may be the series' own or those that clients see: on square slices both would fit."""
    series = scenes.series(tmp_path, False)
    image = read(series.path)
    side = min(image.spatial_shape[:2])
    grid = ClientGrid.of(image)
    with pytest.raises(UsageError, match=r"^m.nii.gz does not say where its voxels lie, .* save the mask with the affine"):
        read_labels(nowhere(tmp_path / "m.nii.gz", series.ball.astype(np.uint8)), image, grid)
    square = Image(image.array[:, :side, :side], image.affine, image.header)
    label = nowhere(tmp_path / "m.nii.gz", series.ball[:side, :side].astype(np.uint8))
    with pytest.raises(UsageError, match="does not say where its voxels lie"):
        read_labels(label, square, ClientGrid.of(square))


def test_labels_of_a_volume_in_a_space_of_its_own(tmp_path: Path) -> None:
    """A client draws on a copy in LPS and may turn its label; a label that does not say how it lies is not turned."""
    image = read(nowhere(tmp_path / "i.nrrd", IN_PART + 7, said=OWN[".nrrd"]))
    grid = ClientGrid.of(image)
    assert np.allclose(grid.affine, image.affine) and not image.header.orientation_known
    turned = Image(IN_PART[None, ::-1], grid.affine @ [[-1, 0, 0, 7], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    for path in (
        write(tmp_path / "m.nrrd", Image(IN_PART[None], grid.affine)),
        write(tmp_path / "m.nii.gz", turned),
        nowhere(tmp_path / "o.nrrd", IN_PART, said=OWN[".nrrd"]),
    ):
        assert np.array_equal(read_labels(path, image, grid), IN_PART)
    with pytest.raises(UsageError, match=r"^m.nrrd lies on another grid .* only one says how its axes run"):
        read_labels(nowhere(tmp_path / "m.nrrd", IN_PART, said=SIZES[".nrrd"]), image, grid)
