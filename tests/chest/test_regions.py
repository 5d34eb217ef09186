"""Regions of real radiographs, whatever their size, pose and polarity; and what is no frontal chest radiograph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from skimage.transform import resize

from casewise import formats
from casewise.chest import Regions, regions
from casewise.chest.cardiothoracic_ratio import cardiothoracic
from casewise.chest.region import (
    HEART,
    LEFT_CLAVICLE,
    LEFT_LUNG,
    LEFT_LUNG_FULL,
    NAMES,
    OVERLAP,
    RIGHT_CLAVICLE,
    RIGHT_LUNG,
    RIGHT_LUNG_FULL,
    UNSIDED,
)
from casewise.errors import CasewiseError
from casewise.header import Header
from casewise.image import Box, Image
from casewise.training.metrics import dice
from tests.formats.synthetic import instance

FILMS = ("jsrt/images/JPCNN031.png", "shenzhen/images/CHNCXR_0170_0.png", "montgomery/images/MCUCXR_0094_0.png")


def film(shared_data: Path, name: str, side: int = 512) -> Image:
    image = formats.read(shared_data / name)
    array = resize(image.array[0].astype(np.float32), (side, side), preserve_range=True, anti_aliasing=True)
    return Image(array.astype(np.uint8)[None], header=Header(spacing_known=False))


def true_lungs(shared_data: Path, name: str, side: int = 512) -> np.ndarray:
    path = shared_data / name
    site = path.parents[1]
    folders = [site / "masks" / one for one in (LEFT_LUNG, RIGHT_LUNG)] if site.name == "jsrt" else [site / "lung_masks"]
    both = np.any([formats.read(folder / path.name).array[0] > 127 for folder in folders], axis=0)
    return resize(both.astype(np.float32), (side, side)) > 0.5


def lungs(found: Regions) -> np.ndarray:
    return found.masks[RIGHT_LUNG] | found.masks[LEFT_LUNG]


@pytest.mark.parametrize("name", FILMS)
def test_lungs_and_heart_lie_where_they_are(name: str, shared_data: Path) -> None:
    image = film(shared_data, name)
    found = regions(image)
    assert tuple(found.masks) == NAMES
    assert dice(lungs(found), true_lungs(shared_data, name)) > 0.93
    for region in found.found.values():
        assert region.mask.shape == image.spatial_shape and region.mask.dtype == bool
        assert region.box == Box.around(region.mask) == found.boxes[region.name]
    for label in (RIGHT_LUNG, LEFT_LUNG, HEART):
        assert ndimage.label(found.masks[label])[1] == 1
        assert not (ndimage.binary_fill_holes(found.masks[label]) & ~found.masks[label]).any()
        assert 0.5 < found[label].probability <= 1
    columns = {label: np.nonzero(mask)[1].mean() for label, mask in found.masks.items()}
    assert columns[RIGHT_LUNG] < columns[HEART] < columns[LEFT_LUNG]
    assert not (found.masks[HEART] & lungs(found)).any()
    assert not (found.masks[OVERLAP] & ~found.masks[HEART]).any()


def test_clavicles_lie_where_they_are_and_lungs_reach_behind_the_heart(shared_data: Path) -> None:
    site, name = shared_data / "jsrt", Path(FILMS[0]).name
    found = regions(film(shared_data, FILMS[0]))
    for clavicle, lung, full in ((RIGHT_CLAVICLE, RIGHT_LUNG, RIGHT_LUNG_FULL), (LEFT_CLAVICLE, LEFT_LUNG, LEFT_LUNG_FULL)):
        truth = resize(formats.read(site / "masks" / clavicle / name).array[0] / 255.0, (512, 512)) > 0.5
        assert dice(found.masks[clavicle], truth) > 0.8 and 0.6 < found[clavicle].probability <= 1
        assert found.masks[full][found.masks[lung]].all()
        assert not (found.masks[full] & ~found.masks[lung] & ~found.masks[HEART]).any()
    assert found[LEFT_LUNG_FULL].mask.sum() > 1.05 * found[LEFT_LUNG].mask.sum()
    assert not (found.masks[LEFT_LUNG_FULL] & found.masks[RIGHT_LUNG_FULL]).any()


@pytest.mark.parametrize("side", [64, 100, 256, 1500])
def test_any_resolution_gives_the_same_lungs(side: int, shared_data: Path) -> None:
    found = regions(film(shared_data, FILMS[0], side))
    assert dice(lungs(found), true_lungs(shared_data, FILMS[0], side)) > (0.9 if side < 100 else 0.93)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("dark", [False, True])
def test_turned_and_inverted_pictures_are_handled_and_said(turns: int, dark: bool, shared_data: Path) -> None:
    image = film(shared_data, FILMS[1])
    straight = regions(image)
    array = np.rot90(image.array, turns, (1, 2))
    found = regions(Image(np.ascontiguousarray(255 - array if dark else array), header=image.header))
    for label in (RIGHT_LUNG, LEFT_LUNG):
        assert dice(np.rot90(found.masks[label], -turns), straight.masks[label]) > 0.95
    assert ("inverted" in found.flags) == dark
    reported = [remark.sentence for remark in found.remarks if remark.flag == "rotated"]
    assert bool(reported) == bool(turns)
    assert not turns or f"{(-90 * turns) % 360}° clockwise" in reported[0]


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float64])
def test_range_and_type_of_values_do_not_matter(dtype: type, shared_data: Path) -> None:
    image = film(shared_data, FILMS[2], 256)
    other = image.with_array(image.array.astype(dtype) * 13 + 500)
    assert dice(lungs(regions(other)), lungs(regions(image))) > 0.99
    colour = image.with_array(np.repeat(image.array, 3, axis=0))
    assert dice(lungs(regions(colour)), lungs(regions(image))) > 0.99


def test_dicom_says_how_the_picture_lies(shared_data: Path, tmp_path: Path) -> None:
    array = film(shared_data, FILMS[1]).array[0].astype(np.uint16)
    mirrored = instance(tmp_path / "m.dcm", array[:, ::-1].copy(), Modality="DX", PatientOrientation=["R", "F"])
    found = regions(formats.read(mirrored))
    straight = regions(film(shared_data, FILMS[1]))
    assert dice(found.masks[LEFT_LUNG][:, ::-1], straight.masks[LEFT_LUNG]) > 0.95
    assert found.flags == ("mirrored",)
    side = instance(tmp_path / "s.dcm", array, Modality="DX", PatientOrientation=["A", "F"])
    with pytest.raises(CasewiseError, match="from the side"):
        regions(formats.read(side))


def test_a_white_lung_is_said_to_be_missing(shared_data: Path) -> None:
    image = film(shared_data, FILMS[2])
    whole = regions(image)
    white = ndimage.gaussian_filter(ndimage.binary_dilation(whole.masks[LEFT_LUNG], iterations=9).astype(float), 5)
    noise = np.random.default_rng(0).normal(190, 3, image.spatial_shape)
    array = (image.array * (1 - white) + noise * white).clip(0, 255).astype(np.uint8)
    found = regions(Image(array, header=Header(directions=("L", "F"))))
    assert "left_lung_missing" in found.flags and LEFT_LUNG not in found
    assert dice(found.masks[RIGHT_LUNG], whole.masks[RIGHT_LUNG]) > 0.9
    unstated = regions(image.with_array(array))
    named = unstated.masks.get(RIGHT_LUNG)
    assert "sides_unknown" in unstated.flags or (named is not None and dice(named, whole.masks[RIGHT_LUNG]) > 0.9)
    assert LEFT_LUNG not in unstated, "what is left is never named by the other side"
    mirrored = regions(image.with_array(np.ascontiguousarray(array[..., ::-1])))
    assert "sides_unknown" in mirrored.flags, "its heart is white too, and a mirrored film is never named as if it were none"
    assert mirrored.found.keys() <= {*UNSIDED.values(), "heart", "heart_lung_overlap"}
    assert len([name for name in mirrored.found if name.startswith("clavicle")]) <= 1, "no clavicle without its lung"


@pytest.mark.parametrize(
    ("name", "half"),
    [
        ("montgomery/images/MCUCXR_0003_0.png", np.s_[:, :256]),
        ("shenzhen/images/CHNCXR_0050_0.png", np.s_[:, 256:]),
        ("shenzhen/images/CHNCXR_0132_0.png", np.s_[:, :256]),
    ],
)
def test_half_a_film_gives_its_lung_and_says_that_the_other_is_missing(
    name: str, half: tuple[slice, slice], shared_data: Path
) -> None:
    image = film(shared_data, name)
    cut = Image(np.ascontiguousarray(image.array[0][half])[None], header=image.header)
    found = regions(cut)
    assert any(flag.startswith(("left_lung", "right_lung", "lung_side")) and flag.endswith("_missing") for flag in found.flags)
    (lung,) = [mask for place, mask in found.by_place.items() if place in (RIGHT_LUNG, LEFT_LUNG)]
    assert dice(lung, true_lungs(shared_data, name)[half]) > 0.85
    with pytest.raises(CasewiseError, match="needs both lungs and the heart"):
        cardiothoracic(found)


@pytest.mark.parametrize(
    ("pattern", "reported"),
    [
        ("mednist/Hand/*", "hand"),
        ("mednist/AbdomenCT/*", "abdomen"),
        ("mednist/HeadCT/*", "head"),
        ("busi/benign/*).png", "breast"),
    ],
)
def test_other_pictures_are_refused_with_what_was_seen(pattern: str, reported: str, shared_data: Path) -> None:
    sentences = []
    for path in sorted(shared_data.glob(pattern))[7::100][:3]:
        with pytest.raises(CasewiseError, match="No frontal view of the lungs") as refused:
            regions(formats.read(path))
        sentences.append(str(refused.value))
    assert any(reported in sentence for sentence in sentences)


def test_what_lies_turned_and_shows_neither_heart_nor_chest_is_refused(shared_data: Path) -> None:
    """A photograph with two dark halves, that its set holds among brains."""
    with pytest.raises(CasewiseError, match="like no kind of image that is known"):
        regions(formats.read(shared_data / "brain-tumour" / "no_tumor" / "d (91).jpg"))


def test_a_side_view_is_refused(shared_data: Path) -> None:
    """The one lateral film among the pictures at hand; it says nothing of the sort in a header."""
    with pytest.raises(CasewiseError, match="No frontal view"):
        regions(formats.read(shared_data / "mednist" / "CXR" / "009727.jpeg"))


@pytest.mark.parametrize(
    ("array", "reported"),
    [
        (np.zeros((1, 300, 300), np.uint8), "one value throughout"),
        (np.full((1, 300, 300), 7.5), "7.5"),
        (np.random.default_rng(0).integers(0, 255, (1, 300, 300)).astype(np.uint8), "No frontal view"),
        (np.random.default_rng(0).integers(0, 255, (1, 20, 20)).astype(np.uint8), "20×20"),
        (np.random.default_rng(0).integers(0, 255, (1, 40, 400)).astype(np.uint8), "40×400"),
        (np.random.default_rng(0).integers(0, 255, (1, 40, 40, 5)).astype(np.uint8), "volume of 40×40×5"),
        (np.full((1, 50, 50), np.nan) + np.eye(50), "not finite"),
    ],
)
def test_what_cannot_be_a_radiograph_gets_a_sentence(array: np.ndarray, reported: str) -> None:
    with pytest.raises(CasewiseError, match=reported) as refused:
        regions(Image(array))
    assert "\n" not in str(refused.value)
