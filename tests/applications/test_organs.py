"""From predictions to findings, on shapes whose size is known from geometry."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from casewise.applications import Application, Organs, class_findings, findings_of, structure_findings
from casewise.applications.measures import longest_diameter, measure, size_of
from casewise.errors import CasewiseError
from casewise.finding import Finding
from casewise.header import Header
from casewise.image import Box, Image
from casewise.models import Prediction


def affine_of(spacing: tuple[float, float, float], degrees: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix() @ np.diag(spacing)
    affine[:3, 3] = (-30, 12, 80)
    return affine


def disc(shape: tuple[int, int], spacing: tuple[float, float], radius_mm: float) -> np.ndarray:
    rows, columns = np.indices(shape)
    y, x = (rows - (shape[0] - 1) / 2) * spacing[0], (columns - (shape[1] - 1) / 2) * spacing[1]
    return x**2 + y**2 <= radius_mm**2


def ball(shape: tuple[int, int, int], spacing: tuple[float, float, float], radius_mm: float) -> np.ndarray:
    grid = [(n - (s - 1) / 2) * d for n, s, d in zip(np.indices(shape), shape, spacing, strict=True)]
    return sum(g**2 for g in grid) <= radius_mm**2


def certain(*masks: np.ndarray, level: float = 0.9) -> np.ndarray:
    """(1 + n, *spatial): ``level`` inside each mask, the rest of 1 for the background."""
    structures = np.stack([np.where(mask, level, 0.02) for mask in masks])
    return np.concatenate([1 - structures.sum(axis=0, keepdims=True), structures]).astype(np.float32)


ORIENTATIONS = [(0, 0, 0), (20, -35, 50), (90, 0, 0), (0, 180, 30)]


@pytest.mark.parametrize("degrees", ORIENTATIONS)
@pytest.mark.parametrize("spacing", [(0.5, 0.5), (0.4, 0.9)])
def test_a_disc_has_its_area_and_diameter(spacing: tuple[float, float], degrees: tuple[float, float, float]) -> None:
    radius = 20.0
    mask = disc((120, 130), spacing, radius)
    image = Image(np.where(mask, 700, 20).astype(np.int16)[None], affine_of((*spacing, 3), degrees))
    measures = measure(mask, image)
    assert set(measures) == {"area_mm2", "longest_diameter_mm", "mean_intensity"}
    assert measures["area_mm2"] == pytest.approx(np.pi * radius**2, rel=0.01)
    assert measures["longest_diameter_mm"] == pytest.approx(2 * radius, abs=max(spacing))
    assert measures["mean_intensity"] == 700


@pytest.mark.parametrize("degrees", ORIENTATIONS)
@pytest.mark.parametrize("spacing", [(1, 1, 1), (0.7, 0.9, 3)])
def test_a_ball_has_its_volume_and_diameter(spacing: tuple[float, float, float], degrees: tuple[float, float, float]) -> None:
    radius = 18.0
    shape = tuple(int(46 / s) for s in spacing)
    mask = ball(shape, spacing, radius)
    image = Image(np.where(mask, 40, -1000).astype(np.int16)[None], affine_of(spacing, degrees), Header(modality="CT"))
    measures = measure(mask, image)
    assert set(measures) == {"volume_ml", "longest_diameter_mm", "mean_hu"}
    assert measures["volume_ml"] == pytest.approx(4 / 3 * np.pi * radius**3 / 1000, rel=0.02)
    assert measures["longest_diameter_mm"] == pytest.approx(2 * radius, abs=max(spacing))
    assert measures["mean_hu"] == 40


def test_a_sheared_grid_keeps_true_sizes() -> None:
    """A gantry tilt: the axes are not perpendicular, and neither volume nor distance may pretend that they are."""
    affine = affine_of((1, 1, 2))
    affine[:3, 2] = (0, 1.0, 2.0)
    mask = np.ones((4, 5, 6), bool)
    image = Image(np.zeros((1, 4, 5, 6), np.float32), affine)
    assert size_of(mask, image) == {"volume_ml": pytest.approx(4 * 5 * 6 * 2 / 1000)}
    voxels = np.stack(np.meshgrid(*(np.arange(n) for n in mask.shape), indexing="ij"), -1).reshape(-1, 3)
    faces = np.concatenate([voxels + sign * 0.5 * np.eye(3)[axis] for axis in range(3) for sign in (-1, 1)])
    there = faces @ affine[:3, :3].T
    expected = max(np.linalg.norm(there - point, axis=1).max() for point in there)
    assert longest_diameter(mask, affine) == pytest.approx(expected)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    dims=st.sampled_from([2, 3]),
    spacing=st.tuples(*[st.floats(0.3, 4)] * 3),
    degrees=st.tuples(*[st.floats(-180, 180)] * 3),
)
def test_the_longest_diameter_is_the_farthest_pair(
    seed: int, dims: int, spacing: tuple[float, float, float], degrees: tuple[float, float, float]
) -> None:
    """Against every pair of face middles of a random blob, in world coordinates."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((7,) * dims, bool)
    place = np.full(dims, 3)
    for _ in range(15):  # a random walk: one connected piece
        mask[tuple(place)] = True
        place = np.clip(place + rng.integers(-1, 2, dims), 0, 6)
    affine = affine_of(spacing, degrees)
    faces = np.concatenate([np.argwhere(mask) + s * 0.5 * np.eye(dims)[a] for a in range(dims) for s in (-1, 1)])
    there = faces @ affine[:3, :dims].T
    expected = max(np.linalg.norm(there - point, axis=1).max() for point in there)
    assert longest_diameter(mask, affine) == pytest.approx(expected, rel=1e-6)


def test_a_single_voxel_measures_its_own_length() -> None:
    mask = np.zeros((5, 5, 5), bool)
    mask[2, 2, 2] = True
    assert longest_diameter(mask, affine_of((1, 2, 3), (10, 20, 30))) == pytest.approx(3)


def test_the_diameter_is_the_largest_pieces_and_not_of_a_stray_pixel() -> None:
    mask = disc((101, 101), (1, 1), 10)
    mask[0, 0] = True
    assert longest_diameter(mask, np.eye(4)) == pytest.approx(20, abs=1.01)


def test_without_a_known_spacing_sizes_are_pixels() -> None:
    picture = Image(np.zeros((1, 40, 50), np.uint8), header=Header(spacing_known=False))
    mask = np.zeros((40, 50), bool)
    mask[10:20, 5:25] = True
    measures = measure(mask, picture)
    assert set(measures) == {"area_px", "longest_diameter_px", "mean_intensity"}
    assert measures["area_px"] == 200
    volume = Image(np.zeros((1, 40, 50, 3), np.uint8), header=Header(spacing_known=False))
    assert set(measure(np.repeat(mask[..., None], 3, 2), volume)) == {
        "volume_voxels",
        "longest_diameter_voxels",
        "mean_intensity",
    }


def test_colour_has_no_mean_intensity_and_an_empty_mask_no_measures() -> None:
    picture = Image(np.zeros((3, 8, 9), np.uint8))
    mask = np.zeros((8, 9), bool)
    assert measure(mask, picture) == {}
    mask[2, 3] = True
    assert set(measure(mask, picture)) == {"area_mm2", "longest_diameter_mm"}


def test_voxels_that_are_no_number_do_not_spoil_the_mean() -> None:
    array = np.full((1, 6, 6), 5.0, np.float32)
    array[0, 2, 2] = np.nan
    mask = np.zeros((6, 6), bool)
    mask[2, 2:5] = True
    assert measure(mask, Image(array))["mean_intensity"] == 5
    mask[2, 3:5] = False
    assert "mean_intensity" not in measure(mask, Image(array))


def test_structures_become_findings_with_box_probability_and_file() -> None:
    one, two = np.zeros((30, 40), bool), np.zeros((30, 40), bool)
    one[5:10, 6:20] = True
    two[15:25, 30:31] = True
    image = Image(np.ones((1, 30, 40), np.float32), affine_of((2, 2, 2)))
    prediction = Prediction(("liver", "absent", "spleen"), certain(one, np.zeros_like(one), two, level=0.8))
    found = findings_of(prediction, image, masks={"liver": Path("liver.png")})
    assert [finding.label for finding in found] == ["liver", "spleen"]
    assert found[0].box == Box((5, 6), (10, 20))
    assert found[1].box == Box((15, 30), (25, 31))
    assert found[0].probability == pytest.approx(0.8)
    assert (found[0].mask, found[1].mask) == (Path("liver.png"), None)
    assert found[0].measures["area_mm2"] == pytest.approx(5 * 14 * 4)
    assert found[0].application == "organs"


def test_a_voxel_belongs_to_the_most_probable_structure_alone() -> None:
    probabilities = np.zeros((3, 1, 3), np.float32)
    probabilities[:, 0] = np.array([[0.6, 0.2, 0.1], [0.3, 0.5, 0.4], [0.1, 0.3, 0.5]])
    found = structure_findings(("a", "b"), probabilities, Image(np.zeros((1, 1, 3), np.float32)))
    assert [(f.label, f.box) for f in found] == [("a", Box((0, 1), (1, 2))), ("b", Box((0, 2), (1, 3)))]


def test_classes_are_ranked() -> None:
    found = class_findings({"benign": 0.2, "malignant": 0.7, "normal": 0.1})
    assert [(f.label, f.probability) for f in found] == [("malignant", 0.7)]
    assert list(found[0].scores.items()) == [("malignant", 0.7), ("benign", 0.2), ("normal", 0.1)]
    same = findings_of(Prediction(("benign", "malignant"), scores={"benign": 0.2, "malignant": 0.8}), Image(np.zeros((1, 4, 4))))
    assert [f.label for f in same] == ["malignant"] and list(same[0].scores) == ["malignant", "benign"]


def test_a_prediction_of_another_grid_is_refused() -> None:
    with pytest.raises(CasewiseError, match="predict this very image"):
        structure_findings(("a",), np.zeros((2, 4, 4), np.float32), Image(np.zeros((1, 5, 4), np.float32)))


def test_organs_is_an_application() -> None:
    class Half:
        def predict(self, image: Image, device: str = "cpu") -> Prediction:
            mask = np.zeros(image.spatial_shape, bool)
            mask[: mask.shape[0] // 2] = True
            return Prediction(("upper",), certain(mask))

    application = Organs(Half())  # type: ignore[arg-type]
    assert isinstance(application, Application)
    found: list[Finding] = application.analyze(Image(np.zeros((1, 8, 4), np.float32)))
    assert found[0].box == Box((0, 0), (4, 4))
    assert found[0].application == "organs"


def test_structures_that_overlap_are_measured_whole() -> None:
    probabilities = np.zeros((3, 1, 4), np.float32)
    probabilities[[0, 1, 2, 2], 0, [0, 1, 2, 3]] = 1
    image = Image(np.zeros((1, 1, 4), np.float32))
    whole, core = structure_findings(("whole", "core"), probabilities, image, regions=((1, 2), (2,)))
    assert whole.box is not None and core.box is not None
    assert (whole.box.lower, whole.box.upper) == ((0, 1), (1, 4))
    assert (core.box.lower, core.box.upper) == ((0, 2), (1, 4))
    assert whole.probability == core.probability == 1
