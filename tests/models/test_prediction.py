"""Predictions come back on the image's own grid, whatever its orientation, size, spacing or channels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from casewise.errors import CasewiseError, ModelError
from casewise.image import Image
from casewise.models import Model, Preparation, Spec, blend
from tests.discs import DISC, autoencoder, classifier, disc, segmenter

PLANAR, VOLUMETRIC = segmenter(2, 16), segmenter(3, 16)
AT_SPACING = {2: segmenter(2, 16, spacing=(1.0, 1.5)), 3: segmenter(3, 16, spacing=(1.5, 1.0, 2.0))}
OTHER_AXES = {2: segmenter(2, 16, axes="RSA"), 3: segmenter(3, 16, axes="LIP")}
MODELS = [PLANAR, VOLUMETRIC, *AT_SPACING.values(), *OTHER_AXES.values()]


def rotation(angles: tuple[float, float, float]) -> np.ndarray:
    turned = np.eye(3)
    for axis, angle in enumerate(np.radians(angles)):
        first, second = [place for place in range(3) if place != axis]
        step = np.eye(3)
        step[first, first] = step[second, second] = np.cos(angle)
        step[first, second], step[second, first] = -np.sin(angle), np.sin(angle)
        turned = turned @ step
    return turned


def restored_order(array: np.ndarray, order: list[int], flips: list[bool]) -> np.ndarray:
    """(C, *spatial) with its axes in another order, some of them reversed."""
    turned = np.transpose(array, (0, *(axis + 1 for axis in order)))
    return np.flip(turned, [place + 1 for place, flip in enumerate(flips) if flip])


def stored_otherwise(image: Image, order: list[int], flips: list[bool]) -> Image:
    """The same voxels at the same places in the patient, in another order in memory."""
    affine = image.affine.copy()
    affine[:3, :3] = image.affine[:3, order]
    for place, flip in enumerate(flips):
        if flip:
            affine[:3, 3] += affine[:3, place] * (image.spatial_shape[order[place]] - 1)
            affine[:3, place] *= -1
    return Image(np.ascontiguousarray(restored_order(image.array, order, flips)), affine)


@settings(max_examples=40, deadline=None)
@given(
    number=st.integers(0, len(MODELS) - 1),
    shape=st.tuples(*[st.integers(3, 20)] * 3),
    spacing=st.tuples(*[st.sampled_from([0.5, 1.0, 1.3, 3.0, 5.0])] * 3),
    angles=st.tuples(*[st.floats(-20, 20)] * 3),
    order=st.permutations([0, 1, 2]),
    flips=st.lists(st.booleans(), min_size=3, max_size=3),
)
def test_the_order_of_the_voxels_does_not_matter(number, shape, spacing, angles, order, flips) -> None:  # type: ignore[no-untyped-def]
    model = MODELS[number]
    affine = np.eye(4)
    affine[:3, :3] = rotation(angles) @ np.diag(spacing)
    affine[:3, 3] = [10, -20, 30]
    image = Image(np.random.default_rng(0).random((1, *shape)).astype(np.float32), affine)
    straight = model.predict(image).probabilities
    turned = model.predict(stored_otherwise(image, order, flips)).probabilities
    assert straight is not None and turned is not None
    assert straight.shape == (2, *shape)
    assert np.allclose(straight.sum(axis=0), 1, atol=1e-5)
    assert np.allclose(turned, restored_order(straight, order, flips), atol=1e-6)
    assert straight.std() > 0


@settings(max_examples=40, deadline=None)
@given(
    order=st.permutations([0, 1, 2]),
    flips=st.lists(st.booleans(), min_size=3, max_size=3),
    spacing=st.tuples(*[st.sampled_from([1.0, 4.0])] * 3),
    axes=st.sampled_from(["PLS", "RAS", "SAL", "IRP"]),
    dims=st.sampled_from([2, 3]),
)
def test_labels_are_cut_as_their_image(order, flips, spacing, axes, dims) -> None:  # type: ignore[no-untyped-def]
    labels = np.random.default_rng(1).integers(0, 200, (9, 12, 10)).astype(np.uint8)
    image = stored_otherwise(Image(labels[None], np.diag([*spacing, 1.0])), order, flips)
    preparation = Preparation(dims, (8,) * dims, 1, "none", axes=axes)
    parts, pieces = preparation.parts(image), preparation.label_parts(image.array[0], image)
    assert (
        len(parts)
        == len(pieces)
        == (1 if dims == 3 else parts[0].preparation.assemble([p.array for p in parts], image).size // pieces[0].size)
    )
    assert all(np.array_equal(part.array[0], piece) for part, piece in zip(parts, pieces, strict=True))
    assert np.array_equal(preparation.assemble([part.array for part in parts], image), image.array)


def test_a_volume_is_sliced_along_its_longest_voxels() -> None:
    for axis in range(3):
        spacing = [1.0, 1.0, 1.0]
        spacing[axis] = 5.0
        image = Image(np.zeros((1, 9, 10, 11), np.float32), np.diag([*spacing, 1.0]))
        assert len(PLANAR.spec.preparation.parts(image)) == image.spatial_shape[axis]
    cube = Image(np.zeros((1, 9, 10, 11), np.float32))  # indices run to R, A, S: sliced from below
    assert len(PLANAR.spec.preparation.parts(cube)) == 11


def test_rows_run_to_the_back_and_columns_to_the_left() -> None:
    array = np.zeros((1, 8, 8, 8), np.float32)  # indices run to R, A, S
    array[0, 7, :, :] = 1  # the rightmost voxels
    array[0, :, 7, :] += 2  # the foremost
    part = Preparation(3, (8, 8, 8), 1, "none").parts(Image(array))[0].array[0]
    assert (part[0] >= 2).all() and (part[1:] < 2).all()  # the foremost come first
    assert (part[1:, 0] == 1).all() and (part[1:, 1:] == 0).all()  # then the rightmost


@settings(max_examples=40, deadline=None)
@given(shape=st.tuples(st.integers(1, 300), st.integers(1, 300)), channels=st.sampled_from([1, 3]), spaced=st.booleans())
def test_pictures_of_any_size(shape: tuple[int, int], channels: int, spaced: bool) -> None:
    model = AT_SPACING[2] if spaced else PLANAR
    image = Image(np.random.default_rng(0).integers(0, 255, (channels, *shape)).astype(np.uint8), np.diag([0.4, 0.8, 1, 1]))
    probabilities = model.predict(image).probabilities
    assert probabilities is not None
    assert probabilities.shape == (2, *shape)
    assert np.allclose(probabilities.sum(axis=0), 1, atol=1e-5)
    assert probabilities.min() >= 0 and probabilities.max() <= 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 17), (17, 300), (16, 16)])
@pytest.mark.parametrize("model", [PLANAR, AT_SPACING[2], OTHER_AXES[2]])
def test_pictures_of_odd_sizes(model: Model, shape: tuple[int, int]) -> None:
    for constant in (False, True):
        array = np.full((1, *shape), 7.0) if constant else np.random.default_rng(0).normal(0, 1000, (1, *shape))
        prediction = model.predict(Image(array))
        assert prediction.mask.shape == shape
        assert np.isfinite(prediction.probabilities).all()


def test_grey_in_colour_is_grey() -> None:
    grey, _ = disc(1, (40, 30))
    colour = Image(np.repeat(grey.array, 3, axis=0), grey.affine)
    assert np.allclose(PLANAR.predict(grey).probabilities, PLANAR.predict(colour).probabilities, atol=1e-4)
    preparation = Preparation(2, (16, 16), 3)
    coloured = Model.initial("colour", Spec("segmentation", PLANAR.spec.network, preparation, (DISC,)))
    assert np.array_equal(coloured.predict(grey).probabilities, coloured.predict(colour).probabilities)


def test_luminance_of_colours() -> None:
    colours = np.zeros((3, 8, 9), np.float32)
    colours[0, :, :3] = colours[1, :, 3:6] = colours[2, :, 6:] = 1
    part = Preparation(2, (8, 8), 1, "none").parts(Image(colours))[0].array[0]
    assert np.allclose(part[0, [0, 3, 6]], [0.299, 0.587, 0.114])


@settings(max_examples=60, deadline=None)
@given(data=st.data(), dims=st.sampled_from([2, 3]), spaced=st.booleans())
def test_resizing_is_undone(data: st.DataObject, dims: int, spaced: bool) -> None:
    """A smooth array comes back from the network's grid as it went, whether fitted or resampled."""
    shape = data.draw(st.tuples(*[st.integers(12, 48)] * dims))
    spacing = data.draw(st.tuples(*[st.sampled_from([0.8, 1.0, 1.7])] * dims))
    preparation = Preparation(dims, (24,) * dims, spacing=(1.2,) * dims if spaced else None)
    waves = np.meshgrid(*[np.cos(np.pi * (np.arange(n) + 0.5) / n) for n in shape], indexing="ij")
    array = torch.from_numpy(np.stack([sum(waves), waves[-1]])).float()
    network = preparation.resize(array, spacing, "linear")
    scaled = preparation.scaled_shape(shape, spacing)
    assert tuple(network.shape[1:]) == tuple(max(n, 24) for n in scaled)
    back = preparation.restore(network, shape, spacing)
    assert back.shape == array.shape
    assert float((back - array).abs().max()) < 0.15 * dims


def test_an_image_keeps_its_aspect_and_is_padded_with_zero() -> None:
    image = Image(np.random.default_rng(0).uniform(1, 2, (1, 40, 20)), np.eye(4))
    tensor = Preparation(2, (32, 32), 1, "none").parts(image)[0].tensor()
    inside = tensor[0, :, 8:24]
    assert tuple(tensor.shape) == (1, 32, 32)
    assert float(inside.min()) >= 1
    assert float(tensor.sum()) == pytest.approx(float(inside.sum()))


@pytest.mark.parametrize(
    ("settings_", "low", "high"),
    [({"intensity": "minmax"}, 0, 1), ({"intensity": "window", "window": (0.0, 500.0)}, 0, 1), ({"intensity": "none"}, -1000, 999)],
)
def test_intensities(settings_: dict, low: float, high: float) -> None:  # type: ignore[type-arg]
    ramp = Image(np.linspace(-1000, 999, 40 * 50).reshape(1, 40, 50))
    part = Preparation(2, (16, 16), **settings_).parts(ramp)[0].array
    assert (float(part.min()), float(part.max())) == pytest.approx((low, high), abs=1e-3)
    if settings_["intensity"] == "window":
        assert float(part[0].flat[1250]) == pytest.approx(0.5, abs=2e-3)


def test_normal_intensities_and_constant_images() -> None:
    noise = Image(np.random.default_rng(0).normal(300, 50, (1, 40, 50)))
    part = Preparation(2, (16, 16), 1, "normal").parts(noise)[0].array
    assert (float(part.mean()), float(part.std())) == pytest.approx((0, 1), abs=1e-3)
    for intensity in ("percentile", "minmax", "normal"):
        flat = Preparation(2, (16, 16), 1, intensity).parts(Image(np.full((1, 9, 9), 70.0)))[0].array
        assert not flat.any()


@pytest.mark.parametrize("dims", [2, 3])
def test_windows_slide_over_the_whole_image(dims: int) -> None:
    """At a given spacing the answer inside one window is the network's own, and larger images are covered to their edges."""
    model = segmenter(dims, 16, spacing=(1.0,) * dims)
    exact, _ = disc(1, (16,) * dims)
    with torch.inference_mode():
        direct = model.ready()(model.spec.preparation.parts(exact)[0].tensor()[None]).softmax(dim=1)[0].numpy()
    expected = model.spec.preparation.assemble([direct], exact)
    assert np.allclose(model.predict(exact).probabilities, expected, atol=1e-5)
    large = model.predict(disc(2, (41, 23, 30)[:dims])[0]).probabilities
    assert large is not None
    assert large.shape == (2, *(41, 23, 30)[:dims])
    assert np.allclose(large.sum(axis=0), 1, atol=1e-5)
    assert large[:, -1].std() > 0


@pytest.mark.parametrize("shape", [(1, 1), (40, 30), (16, 18, 1), (16, 18, 9)])
def test_a_classifiers_scores_sum_to_one(shape: tuple[int, ...]) -> None:
    prediction = classifier().predict(disc(1, shape)[0])
    assert list(prediction.scores) == ["full", "empty"]
    assert sum(prediction.scores.values()) == pytest.approx(1)
    assert prediction.probabilities is None
    assert prediction.masks() == {}
    with pytest.raises(AttributeError):
        _ = prediction.mask


def test_masks_by_name() -> None:
    prediction = PLANAR.predict(disc(1)[0])
    assert list(prediction.masks()) == ["disc"]
    assert np.array_equal(prediction.masks()["disc"], prediction.probabilities[1] > prediction.probabilities[0])  # type: ignore[index]


def test_a_blend_lies_between() -> None:
    image, _ = disc(1)
    first, second = PLANAR.predict(image), segmenter(2, 16, channels=(4, 6)).predict(image)
    assert np.array_equal(blend(first, second, 0).probabilities, first.probabilities)  # type: ignore[arg-type]
    mixed = blend(first, second, 0.25).probabilities
    assert np.allclose(mixed, 0.75 * first.probabilities + 0.25 * second.probabilities, atol=1e-6)  # type: ignore[operator]
    model, other = classifier(), classifier(size=24)
    scores = blend(model.predict(image), other.predict(image), 0.5).scores
    assert sum(scores.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("model", "image", "words"),
    [
        (VOLUMETRIC, Image(np.zeros((1, 9, 9))), "takes volumes and this image is a picture"),
        (PLANAR, Image(np.zeros((2, 9, 9))), "takes 1 channels and the image has 2"),
        (PLANAR, Image(np.full((1, 9, 9), np.nan)), "81 of the image's 81 values are not finite"),
        (PLANAR, Image(np.array([[[1.0, np.inf]]])), "1 of the image's 2 values"),
        (autoencoder(), Image(np.zeros((1, 9, 9))), "compares images and answers nothing"),
    ],
)
def test_images_that_a_model_does_not_take(model: Model, image: Image, words: str) -> None:
    with pytest.raises(CasewiseError, match=words):
        model.predict(image)


@pytest.mark.parametrize(
    "given_",
    [
        {"spatial_dims": 4, "size": (8, 8, 8, 8)},
        {"size": (7, 9)},
        {"size": (16.0, 16.0)},
        {"channels": 0},
        {"intensity": "window"},
        {"window": (0.0, 1.0)},
        {"intensity": "window", "window": (1.0, 1.0)},
        {"spacing": (1.0,)},
        {"axes": "RAA"},
        {"axes": "RA"},
        {"axes": 3},
    ],
)
def test_preparations_that_cannot_be(given_: dict) -> None:  # type: ignore[type-arg]
    with pytest.raises(ModelError):
        Preparation(**given_)
