"""The networks of drawn nodules: what they see lies where it is, and the shipped ones mark a nodule that is drawn into noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from casewise.irregularities.training import spec, started
from casewise.irregularities.views import evened
from casewise.models.networks import build
from casewise.models.networks.spots import CHANNELS, FEATURES, MEMBERS, SpotNetworks, trained_on


@pytest.mark.parametrize("shape", [(64, 96), (65, 97), (31, 40)])
def test_logits_have_the_pictures_grid_and_features_half_of_it(shape: tuple[int, int]) -> None:
    network = build({"kind": "spots", "channels": list(CHANNELS), "members": MEMBERS}, 2, 1, 2)
    assert isinstance(network, SpotNetworks)
    x = torch.randn(2, 1, *shape)
    with torch.inference_mode():
        assert network(x).shape == (2, 2, *shape)
        assert network.seen(x).shape == (2, FEATURES, *(-(-n // 2) for n in shape))


@pytest.mark.parametrize("seed", range(4))
def test_the_shipped_networks_mark_a_drawn_nodule(seed: int) -> None:
    rng = np.random.default_rng(seed)
    plane = gaussian_filter(rng.standard_normal((224, 224)), 6).astype(np.float32) * 12
    plane += rng.standard_normal(plane.shape, dtype=np.float32) * 0.1
    row, column = rng.integers(60, 164, 2)
    rows, columns = np.mgrid[:224, :224]
    without = _odds(plane)
    plane += 4 * np.clip(1 - ((rows - row) ** 2 + (columns - column) ** 2) / 10**2, 0, 1).astype(np.float32)
    more = _odds(plane) - without
    place = np.unravel_index(more.argmax(), more.shape)
    assert np.hypot(2 * place[0] - row, 2 * place[1] - column) < 12
    assert more.max() > 2


def _odds(plane: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return np.asarray(SpotNetworks(2).pretrained().seen(torch.from_numpy(evened(plane))[None, None])[0, -1].numpy())


def test_a_detector_that_begins_with_them_knows_what_they_learnt_from() -> None:
    model = started("detector", spec("nodule", spots=True))
    assert trained_on() and model.trained_on == trained_on()
    assert started("detector", spec("nodule")).trained_on == frozenset()
    shipped = SpotNetworks(2).pretrained().state_dict()
    assert all(torch.equal(model.weights[f"spots.{name}"], tensor) for name, tensor in shipped.items())
