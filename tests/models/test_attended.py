"""The classifier on the shared encoder: its weights hold the fitted layers alone, and it looks where its attention says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from casewise.errors import ModelError
from casewise.models import shipped
from casewise.models.networks import build
from casewise.models.networks.attended import CHANNELS, Attended
from casewise.models.networks.efficient_net import EfficientNetLite


def test_its_weights_are_the_two_layers_and_the_encoder_is_the_shared_one(tmp_path: Path) -> None:
    network = Attended(3)
    kept = network.state_dict()
    assert {name.split(".")[0] for name in kept} == {"attention", "head"}
    other = Attended(3)
    other.load_state_dict(kept)
    x = torch.rand(2, 1, 64, 96)
    with torch.inference_mode():
        assert torch.equal(network.eval()(x), other.eval()(x))
    shared = EfficientNetLite(1).pretrained().state_dict()
    assert all(torch.equal(value, shared[name]) for name, value in other.encoder.state_dict().items())
    assert not any(parameter.requires_grad for parameter in network.encoder.parameters())
    with pytest.raises(RuntimeError, match="attention"):
        other.load_state_dict({name: value for name, value in kept.items() if name.startswith("head")})


def test_a_picture_and_its_mirror_image_get_one_answer() -> None:
    network, x = Attended(2).eval(), torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(network(x), network(x.flip(3)), atol=1e-5)


def test_only_places_that_the_attention_picks_are_counted() -> None:
    network = Attended(2).eval()
    places = torch.zeros(1, CHANNELS, 4, 4)
    places[0, 0, :, :2] = 1.0  # what the attention looks for
    places[0, 1, :, :2], places[0, 1, :, 2:] = 5.0, -9.0
    with torch.no_grad():
        network.attention.weight.zero_()
        network.attention.weight[0, 0] = 40.0
        network.attention.bias.fill_(-20.0)
        cues = network.cues(places)
    assert cues[0, 1].item() == pytest.approx(5.0, abs=1e-3) and cues[0, CHANNELS + 1].item() == pytest.approx(0, abs=0.05)


def test_it_takes_grey_pictures_alone_and_the_shipped_one_is_a_head_on_it() -> None:
    with pytest.raises(ModelError, match="takes grey pictures"):
        build({"kind": "attended"}, 3, 1, 2)
    model = shipped.load("breast_ultrasound_class")
    assert model.spec.architecture == "attended"
    assert sum(value.numel() for value in model.weights.values()) < 10_000
