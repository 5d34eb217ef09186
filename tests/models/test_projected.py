"""The encoder that is fitted on the shared network: its weights, what it takes, and the shipped one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from casewise.errors import ModelError, UsageError
from casewise.hashing import file_key
from casewise.image import Image
from casewise.models import Model, Preparation, Spec, shipped
from casewise.models.networks.efficient_net import WEIGHTS
from casewise.models.networks.projected import Projected
from casewise.training import Settings, fit
from tests.discs import disc, disc_case

SPEC = Spec("encoding", {"kind": "projected", "numbers": [6, 3]}, Preparation(2, (64, 64), 3))


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.initial("vectors", SPEC)


def test_its_weights_are_two_layers_and_each_part_of_a_vector_counts_alike(model: Model) -> None:
    assert {name.split(".")[0] for name in model.weights} == {"place", "kind"}
    vectors = model.encoder("cpu").encode([disc(seed, (40, 30))[0] for seed in range(3)])
    assert vectors.shape == (3, 9)
    assert np.allclose(np.linalg.norm(vectors[:, :6], axis=1), 1) and np.allclose(np.linalg.norm(vectors[:, 6:], axis=1), 1)
    network = model.ready("cpu")
    assert isinstance(network, Projected)
    with torch.inference_mode():
        grid, means = network.features(torch.rand(2, 3, 64, 64))
    assert grid.shape == (2, 112 * 16) and means.shape == (2, 80 + 112 + 192 + 320)


def test_a_grey_picture_is_the_same_in_one_channel_and_in_three(model: Model) -> None:
    grey = disc(4, (40, 30))[0]
    three = Image(np.repeat(grey.array, 3, axis=0), grey.affine)
    coloured = Image(np.stack([grey.array[0], 1 - grey.array[0], grey.array[0] ** 2]), grey.affine)
    one, same, other = model.encoder("cpu").encode([grey, three, coloured])
    assert np.allclose(one, same, atol=1e-3)
    assert not np.allclose(one, other, atol=1e-2)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (300, 7), (9, 8, 1), (20, 16, 5), (12, 12, 40)])
def test_it_takes_pictures_and_volumes_of_every_size(model: Model, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    for array in (rng.random((1, *shape)).astype(np.float32), np.zeros((1, *shape), np.float32)):
        vector = model.encoder("cpu").encode([Image(array)])[0]
        assert np.isfinite(vector).all() and np.linalg.norm(vector) > 0


def test_it_is_not_trained(model: Model) -> None:
    with pytest.raises(UsageError, match="is not trained"):
        fit(model, [disc_case(1), disc_case(2)], settings=Settings(steps=1, batch=2, device="cpu"))
    with pytest.raises(UsageError, match="is not trained"):
        model.check_trainable()


def test_what_it_cannot_be() -> None:
    for settings, preparation, problem in (
        ({"numbers": [6, 3]}, Preparation(2, (64, 64), 1), "pictures in colours"),
        ({"numbers": [6]}, SPEC.preparation, "numbers are two"),
        ({}, SPEC.preparation, "numbers are two"),
    ):
        with pytest.raises(ModelError, match=problem):
            Model.initial("vectors", Spec("encoding", {"kind": "projected", **settings}, preparation))


def test_the_shipped_encoder_is_small_and_free_to_use() -> None:
    model = shipped.load("encoder")
    assert model.spec.architecture == "projected" and not any(one.research_only for one in model.lineage.training_data)
    assert sum(value.numel() * value.element_size() for value in model.weights.values()) < 1_000_000
    assert shipped.default_encoder("cpu").dimension == 256
    assert model.lineage.parent == file_key(WEIGHTS), "vectors would change under one key: fit it again (python -m recipes.encoder)"
