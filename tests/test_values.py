"""Images, label maps and headers: geometry that crop, reorient and resample keep, and what survives JSON and another process."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casewise.errors import CasewiseError
from casewise.header import Header
from casewise.image import Box, Image
from casewise.label_map import LabelMap

AXES = ["".join(letters) for order in permutations(("RL", "AP", "SI")) for letters in product(*order)]


@st.composite
def geometries(draw: st.DrawFn, dims: int = 3) -> tuple[tuple[int, ...], np.ndarray]:
    """A shape, and an affine of any axes, voxel sizes and origin, a little oblique."""
    shape = tuple(draw(st.integers(2, 6)) for _ in range(dims))
    order = draw(st.permutations(range(3)))
    signs = [draw(st.sampled_from((-1.0, 1.0))) for _ in range(3)]
    sizes = [draw(st.floats(0.2, 7.0)) for _ in range(3)]
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, order] * signs * sizes
    angle = draw(st.floats(-0.5, 0.5))
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine[:3, :3] = turn @ affine[:3, :3]
    affine[:3, 3] = [draw(st.floats(-200, 200)) for _ in range(3)]
    return shape, affine


def numbered(shape: tuple[int, ...], affine: np.ndarray) -> Image:
    """Every voxel has a value of its own."""
    return Image(np.arange(np.prod(shape), dtype=np.float64).reshape(1, *shape), affine)


def places(image: Image) -> dict[float, tuple[float, ...]]:
    """Value → where its voxel lies in the patient."""
    index = np.argwhere(np.ones(image.spatial_shape, bool))
    full = np.hstack([index, np.zeros((len(index), 3 - image.spatial_dims)), np.ones((len(index), 1))])
    points = np.round((full @ image.affine.T)[:, :3], 6) + 0.0
    return {float(value): tuple(point) for value, point in zip(image.array[0].ravel(), points.tolist(), strict=True)}


@given(geometries(), st.data())
@settings(max_examples=60, deadline=None)
def test_a_crop_leaves_every_voxel_where_it_lies(geometry: tuple[tuple[int, ...], np.ndarray], data: st.DataObject) -> None:
    image = numbered(*geometry)
    lower = [data.draw(st.integers(0, n - 1)) for n in image.spatial_shape]
    upper = [data.draw(st.integers(lo + 1, n)) for lo, n in zip(lower, image.spatial_shape, strict=True)]
    cropped = image.crop(Box(tuple(lower), tuple(upper)))
    assert cropped.spatial_shape == Box(tuple(lower), tuple(upper)).shape
    before = places(image)
    np.testing.assert_allclose([before[value] for value in places(cropped)], list(places(cropped).values()), atol=1e-4)


@given(geometries(), st.sampled_from(AXES))
@settings(max_examples=100, deadline=None)
def test_reorienting_keeps_places_and_comes_back(geometry: tuple[tuple[int, ...], np.ndarray], axes: str) -> None:
    image = numbered(*geometry)
    turned = image.reorient(axes)
    before, after = places(image), places(turned)
    assert before.keys() == after.keys()
    np.testing.assert_allclose([before[value] for value in after], list(after.values()), atol=1e-4)
    letters = repr(image).split("axes ")[1][:3]
    assert f"axes {axes}" in repr(turned)
    back = turned.reorient(letters)
    np.testing.assert_array_equal(back.array, image.array)
    np.testing.assert_allclose(back.affine, image.affine, atol=1e-9)


@given(geometries(2), st.booleans(), st.booleans(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_picture_is_reoriented_in_its_plane(
    geometry: tuple[tuple[int, ...], np.ndarray], swap: bool, one: bool, two: bool
) -> None:
    image = numbered(*geometry)
    letters = repr(image).split("axes ")[1][:2]
    opposite = dict(zip("RASLPI", "LPIRAS", strict=True))
    wanted = [opposite[letters[0]] if one else letters[0], opposite[letters[1]] if two else letters[1]]
    turned = image.reorient("".join(wanted[::-1] if swap else wanted))
    before, after = places(image), places(turned)
    np.testing.assert_allclose([before[value] for value in after], list(after.values()), atol=1e-4)
    np.testing.assert_array_equal(turned.reorient(letters).array, image.array)


@given(geometries())
@settings(max_examples=60, deadline=None)
def test_resampling_to_the_own_grid_changes_nothing(geometry: tuple[tuple[int, ...], np.ndarray]) -> None:
    image = numbered(*geometry)
    np.testing.assert_array_equal(image.resample_like(image).array, image.array)
    masks = LabelMap.like({"a": image.array[0] > 3}, image)
    np.testing.assert_array_equal(masks.resample_like(masks)["a"], masks["a"])
    # A turned grid of the same voxels: every value comes to the voxel that lies where it did.
    turned = image.reorient("IPL")
    np.testing.assert_allclose(image.resample_like(turned).array, turned.array, atol=1e-6)
    np.testing.assert_array_equal(masks.resample_like(turned)["a"], masks.reorient("IPL")["a"])


def test_resampling_is_linear_for_images_nearest_for_masks_and_empty_outside() -> None:
    image = Image(np.array([[[[0.0]], [[10.0]], [[20.0]]]]))
    finer = Image(np.zeros((1, 6, 1, 1)), np.array([[0.5, 0, 0, -0.25], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))
    np.testing.assert_allclose(image.resample_like(finer).array.ravel(), [0, 2.5, 7.5, 12.5, 17.5, 20])
    masks = LabelMap({"high": image.array[0] > 5})
    assert masks.resample_like(finer)["high"].ravel().tolist() == [False, False, True, True, True, True]
    beyond = Image(np.zeros((1, 6, 1, 1)), np.array([[1.0, 0, 0, -2], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))
    assert image.resample_like(beyond).array.ravel().tolist() == [0, 0, 0, 10, 20, 0]
    whole = replace(image, array=image.array.astype(np.int16))
    assert whole.resample_like(finer).array.dtype == np.int16
    with pytest.raises(CasewiseError, match="two volumes or two pictures"):
        image.resample_like(Image(np.zeros((1, 3, 3))))
    above = np.eye(4)
    above[2, 3] = 5
    with pytest.raises(CasewiseError, match="different planes"):
        Image(np.ones((1, 3, 3))).resample_like(Image(np.ones((1, 3, 3)), above))


def test_what_cannot_be_cut_or_turned_is_refused() -> None:
    image = numbered((3, 4, 5), np.eye(4))
    with pytest.raises(CasewiseError, match="not inside the grid"):
        image.crop(Box((0, 0, 0), (3, 4, 6)))
    for axes in ("RA", "RAR", "RAX", "RAL"):
        with pytest.raises(CasewiseError, match="do not fit"):
            image.reorient(axes)
    with pytest.raises(CasewiseError, match="does not say"):
        replace(image, header=Header(spacing_known=False)).reorient("RAS")
    with pytest.raises(CasewiseError, match="one shape"):
        LabelMap({"a": np.zeros((2, 2), bool), "b": np.zeros((2, 3), bool)})
    with pytest.raises(CasewiseError, match="one shape"):
        LabelMap.like({"a": np.zeros((2, 2), bool)}, image)
    with pytest.raises(CasewiseError, match="without a name"):
        LabelMap.from_labels(np.array([[0, 1], [2, 7]]), ("a", "b"), np.eye(4))


def test_a_label_map_is_a_mapping_of_masks() -> None:
    labels = np.array([[0, 1, 1], [2, 2, 0]], np.uint8)
    found = LabelMap.from_labels(labels, ("heart", "lung"), np.diag([2.0, 3.0, 1, 1]))
    assert (found.names, found.spacing, found.spatial_shape) == (("heart", "lung"), (2.0, 3.0), (2, 3))
    assert {name: int(mask.sum()) for name, mask in found.items()} == {"heart": 2, "lung": 2}
    np.testing.assert_array_equal(found.labels(overlap=False), labels)
    assert (found.box("heart"), LabelMap({"none": np.zeros((2, 2), bool)}).box("none")) == (Box((0, 1), (1, 3)), None)
    cropped = found.crop(Box((0, 1), (2, 3)))
    assert cropped["heart"].tolist() == [[True, True], [False, False]]
    np.testing.assert_array_equal(cropped.affine[:3, 3], [0, 3, 0])
    both = LabelMap({"whole": labels > 0, "heart": labels == 1})
    assert both.labels().tolist() == [[0, 2, 2], [1, 1, 0]]
    assert both.overlaps() == (("whole", "heart"),)
    with pytest.raises(CasewiseError, match="whole and heart share"):
        both.labels(overlap=False)
    assert repr(found) == "LabelMap(2×3 voxels of 2×3 mm, axes RA: heart, lung)"
    assert LabelMap({}, np.eye(4), (4, 5)).labels().shape == (4, 5)
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.labels(), labels)


def test_a_header_survives_json_and_another_process() -> None:
    header = Header(
        modality="CT",
        spacing_known=True,
        orientation_known=False,
        window=(40.0, 400.0),
        directions=("L", "F"),
        palette=((0, 0, 0), (255, 0, 0)),
        sequences=("T1",),
        rows_first=True,
        single_axis=0,
        other={"b_value": 1000},
    )
    assert Header.from_json(json.loads(json.dumps(header.to_json()))) == header
    assert pickle.loads(pickle.dumps(header)) == header
    assert Header.from_json({"modality": "MR", "dose": "3 Gy"}).other == {"dose": "3 Gy"}
    assert Header().to_json() == {"spacing_known": True}
    assert not Header(spacing_known=False).orientation_known
    assert Header(spacing_known=False, orientation_known=True).to_json() == {"spacing_known": False, "orientation_known": True}
    image = Image(np.zeros((1, 3, 3)), header={"modality": "DX", "window": [1, 2]})  # type: ignore[arg-type]
    assert image.header == Header(modality="DX", window=(1, 2))


def test_label_maps_join_on_one_grid_alone() -> None:
    one = LabelMap({"a": np.eye(3, dtype=bool)}, np.diag([2.0, 2, 1, 1]))
    both = one | LabelMap({"b": np.ones((3, 3), bool)}, one.affine)
    assert (both.names, both.spacing) == (("a", "b"), (2.0, 2.0))
    assert (LabelMap() | one).names == (one | LabelMap()).names == ("a",)
    with pytest.raises(CasewiseError, match="not on the image's grid"):
        one | LabelMap({"b": np.ones((3, 3), bool)})
    assert LabelMap() == {} and repr(LabelMap()).endswith("no structure)")
