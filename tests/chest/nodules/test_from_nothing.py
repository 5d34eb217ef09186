"""The encoders that are compared: one network, given features or a window's pixels; drawn anew, it is not the pretrained one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from casewise.errors import CasewiseError
from casewise.irregularities.training import WINDOW, Windows
from casewise.models.networks.segment_detector import PLACED, SegmentDetector
from experiments.nodules.films import films
from experiments.nodules.from_nothing import ENCODERS, FROZEN, SHUFFLED, Pixels, from_nothing, opened, pixel_rows, train
from experiments.nodules.networks import rows

EDGE = WINDOW * SHUFFLED


def pixels(count: int = 2) -> Tensor:
    return torch.randn(count, 1, EDGE, EDGE, generator=torch.Generator().manual_seed(0))


def packed(picture: Tensor) -> Tensor:
    places = Pixels().encoded(picture, (), 4)[0]
    return torch.cat([places.flatten(1), torch.zeros(len(picture), PLACED * WINDOW**2)], dim=1)


def test_a_window_of_pixels_is_seen_as_these_pixels_are() -> None:
    network, picture = SegmentDetector(2, branch="reduced"), pixels()
    with torch.no_grad():
        *levels, where = opened(network, packed(picture))
        for own, level in zip(network.encoded(picture, network.levels, 4), levels, strict=True):
            assert torch.equal(own, level)
    assert where.shape == (2, PLACED, WINDOW, WINDOW)


def test_an_encoder_from_nothing_says_something_and_is_not_the_pretrained_one() -> None:
    network = SegmentDetector(2, branch="reduced")
    network.encoder.pretrained()
    before = {name: tensor.clone() for name, tensor in network.encoder.state_dict().items()}
    from_nothing(network, pixels(4))
    for name, tensor in network.encoder.state_dict().items():
        if name.endswith("weight"):
            assert not torch.allclose(tensor, before[name])
    with torch.no_grad():
        levels = network.encoded(pixels(4), network.levels, 4)
    assert all(0.5 < float(level.std()) < 4 for level in levels)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_the_heads_are_trained_and_the_encoder_where_it_shall_be(encoder: str) -> None:
    x = packed(pixels(4))
    y = torch.zeros(4, WINDOW, WINDOW, dtype=torch.bool)
    y[:2, 20:25, 20:25] = True
    weights = torch.ones(y.shape, dtype=torch.float16)
    samples = Windows(list(x.half().numpy()), list(y.numpy()), list(weights.numpy()), "toy", cases=("a",))
    short, long = (train(samples, encoder, 0, steps, said=lambda text: None) for steps in (1, 3))
    assert short.trained_on == {"a"} and short.spec.network["branch"] == "reduced"
    assert not torch.equal(short.weights["heads.0.joined.weight"], long.weights["heads.0.joined.weight"])
    assert torch.equal(short.weights["encoder.stem.weight"], long.weights["encoder.stem.weight"]) == (encoder == FROZEN)


@pytest.mark.shared
def test_the_windows_of_pixels_are_those_of_features(shared_data: object) -> None:
    film = films()[0]
    try:
        features, own = rows(film), pixel_rows(film)
    except CasewiseError as error:
        pytest.skip(str(error))
    assert len(features) == len(own) > 0
    for (_, y, weights), (_, same, of_these) in zip(features, own, strict=True):
        assert (y == same).all() and (weights == of_these).all()
