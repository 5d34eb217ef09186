"""The latent space: alike images have alike vectors, whatever else is encoded with them."""

from __future__ import annotations

import numpy as np
import pytest

from casewise.errors import CasewiseError, ModelError
from casewise.image import Image
from casewise.models import Model
from casewise.models.encoding import crop
from tests.discs import autoencoder, classifier, disc, segmenter


def cosine(first: np.ndarray, second: np.ndarray) -> float:
    return float(first @ second / np.linalg.norm(first) / np.linalg.norm(second))


MODELS = {
    "segmenter": segmenter(),
    "classifier": classifier(),
    "autoencoder": autoencoder(),
    "volumes": segmenter(3, 16),
    "at spacing": segmenter(2, 16, spacing=(1.0, 1.0)),
    "volumes at spacing": segmenter(3, 16, spacing=(1.0, 1.0, 1.0)),
}


def images(model: Model) -> list[Image]:
    shapes = (
        [(16, 18, 14), (20, 11, 9), (16, 16, 16)] if model.spec.preparation.spatial_dims == 3 else [(40, 30), (20, 60), (16, 18, 9)]
    )
    return [disc(seed, shape)[0] for seed, shape in enumerate(shapes)]


@pytest.mark.parametrize("kind", list(MODELS))
def test_vectors_are_the_images_own(kind: str) -> None:
    model = MODELS[kind]
    encoder = model.encoder()
    pictures = images(model)
    together = encoder.encode(pictures)
    assert together.shape == (3, encoder.dimension)
    assert together.dtype == np.float32
    assert encoder.key == model.key
    alone = np.concatenate([encoder.encode([picture]) for picture in pictures])
    assert np.allclose(together, alone, atol=1e-5)
    assert np.allclose(encoder.encode(pictures[::-1])[::-1], together, atol=1e-5)
    again = encoder.encode([Image(pictures[0].array.copy(), pictures[0].affine)])[0]
    assert cosine(again, together[0]) == pytest.approx(1, abs=1e-6)
    assert cosine(together[0], together[1]) < 0.9999


@pytest.mark.parametrize("kind", list(MODELS))
def test_a_region_is_looked_at_alone(kind: str) -> None:
    model = MODELS[kind]
    encoder = model.encoder()
    image = images(model)[0]
    region = np.zeros(image.spatial_shape, bool)
    region[tuple(slice(4, 10) for _ in image.spatial_shape)] = True
    whole, part, both = (
        encoder.encode([image])[0],
        encoder.encode([image], [region])[0],
        encoder.encode([image, image], [None, region]),
    )
    assert cosine(whole, part) < 0.9999
    assert np.allclose(both, [whole, part], atol=1e-5)
    assert np.allclose(encoder.encode([crop(image, region)])[0], part, atol=1e-5)
    outside = image.array.copy()
    outside[(slice(None), *(slice(12, None) for _ in image.spatial_shape))] += 0.5
    if model.spec.preparation.spatial_dims == 2:
        assert np.allclose(encoder.encode([image.with_array(outside)], [region])[0], part, atol=1e-5)
    assert np.allclose(encoder.encode([image], [np.zeros(image.spatial_shape, bool)])[0], whole, atol=1e-5)


def test_a_crop_keeps_its_place_in_the_patient() -> None:
    affine = np.array([[0, 0, -2.0, 3], [1.5, 0, 0, 4], [0, -1.0, 0, 5], [0, 0, 0, 1]])
    image = Image(np.arange(30 * 31 * 32, dtype=np.float32).reshape(1, 30, 31, 32), affine)
    region = np.zeros((30, 31, 32), bool)
    region[10:20, 0:10, 22:32] = True
    cut = crop(image, region)
    assert cut.spatial_shape == (12, 11, 11)  # a tenth more on every side, as far as the image goes
    first = np.argwhere(image.array[0] == cut.array[0, 0, 0, 0])[0]
    assert np.allclose(cut.affine @ [0, 0, 0, 1], affine @ [*first, 1])


def test_no_images_give_no_vectors() -> None:
    assert segmenter().encoder().encode([]).shape == (0, segmenter().encoder().dimension)


def test_what_an_encoder_does_not_take() -> None:
    with pytest.raises(CasewiseError, match="takes volumes"):
        MODELS["volumes"].encoder().encode([disc(1)[0]])
    model = segmenter()
    settings = {"kind": "monai", "name": "UNet", "arguments": "{}"}
    with pytest.raises(ModelError):
        Model("foreign", type(model.spec)("segmentation", settings, model.spec.preparation, model.spec.structures), {}).encoder()
