"""The network for diffuse disease: what a film's answer depends on, and what its map says."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from casewise.chest.diffuse import assessed
from casewise.chest.diffuse.detector import answered, as_input, places_of
from casewise.chest.diffuse.looks import LOOKS, Bands
from casewise.chest.diffuse.views import Lungs, lungs_in
from casewise.errors import ModelError
from casewise.models.networks import build
from casewise.models.networks.diffuse import BANDS, CHANNELS, CUES, Diffuse, Places
from tests.chest.diffuse.films import SHAPE, lung_masks, plane_of, with_blob

MASKS = lung_masks()


@pytest.fixture(scope="module")
def network() -> Diffuse:
    """Whose head weighs every cue."""
    made = build({"kind": "diffuse"}, 2, 1, 2)
    assert isinstance(made, Diffuse)
    torch.manual_seed(3)
    torch.nn.init.normal_(made.head.weight, std=0.05)
    return made.pretrained().eval().requires_grad_(False)


@pytest.fixture(scope="module")
def plain() -> Lungs:
    return lungs_in(plane_of(MASKS), MASKS)


@pytest.fixture(scope="module")
def ill() -> Lungs:
    return lungs_in(with_blob(plane_of(MASKS), 150, 110, 30), MASKS)


def odds(network: Diffuse, films: list[Lungs], swapped: bool = False) -> torch.Tensor:
    x = torch.cat([as_input(Bands(lungs.pixels, lungs.inside > 0).seen(LOOKS[0])) for lungs in films])
    places = places_of(films)
    with torch.inference_mode():
        return network(x, places._replace(side=1 - places.side) if swapped else places)


def test_a_films_answer_does_not_depend_on_the_others(network: Diffuse, plain: Lungs, ill: Lungs) -> None:
    together = odds(network, [plain, ill])
    assert together.tolist() == pytest.approx([float(odds(network, [plain])), float(odds(network, [ill]))], abs=1e-4)
    assert abs(float(together[0] - together[1])) > 1e-3


def test_lungs_that_change_sides_are_judged_alike(network: Diffuse, ill: Lungs) -> None:
    assert float(odds(network, [ill], swapped=True)) == pytest.approx(float(odds(network, [ill])), abs=1e-5)


def test_what_is_no_lung_does_not_count(network: Diffuse, ill: Lungs) -> None:
    """Far from any lung: near it an encoder's place reaches beyond itself."""
    x, places = as_input(Bands(ill.pixels, ill.inside > 0).seen(LOOKS[0])), places_of([ill])
    with torch.inference_mode():
        (answer,) = [network.answer(x, places)]
        blank = torch.where(answer.weights > 0, 1.0, 0.0)
        elsewhere = answer.evidence[blank == 0]
        assert elsewhere.numel() > 50
        assert float(_banded_mean(answer.evidence * blank, answer.weights, places)) == pytest.approx(float(answer.odds), abs=1e-3)


@given(seed=st.integers(0, 1000))
@settings(max_examples=5, deadline=None)
def test_a_films_log_odds_are_the_mean_of_its_map(network: Diffuse, seed: int) -> None:
    lungs = lungs_in(with_blob(plane_of(MASKS, seed), 100 + seed % 200, 110, 30), MASKS)
    (answer,) = answered(lungs, network, [LOOKS[seed % len(LOOKS)]])
    assert float(_banded_mean(answer.evidence, answer.weights, places_of([lungs]))) == pytest.approx(float(answer.odds), abs=2e-2)


def _banded_mean(evidence: torch.Tensor, weights: torch.Tensor, places: Places) -> torch.Tensor:
    """The mean over bands and lungs of the mean over each one's places."""
    height = torch.nn.functional.adaptive_avg_pool1d(places.height[:, None], evidence.shape[1])[:, 0]
    band = (height * BANDS).long().clamp(0, BANDS - 1)
    means = []
    for side in (0, 1):
        for number in range(BANDS):
            here = weights * (band == number)[:, :, None] * (places.side == side)[:, None, None]
            means.append((evidence * here).sum() / here.sum())
    return torch.stack(means).mean()


def test_a_lung_that_is_missing_changes_nothing_in_the_other(network: Diffuse, plain: Lungs) -> None:
    """Two equal lungs have the cues of one."""
    x, places = as_input(Bands(plain.pixels, plain.inside > 0).seen(LOOKS[0])), places_of([plain])
    own = places.side == 0
    both = Places(*(torch.cat([tensor[own]] * 2) for tensor in places))
    both = both._replace(side=torch.tensor([0, 1]).repeat_interleave(int(own.sum())))
    with torch.inference_mode():
        alone = network.cues(x[own], Places(*(tensor[own] for tensor in places)))
        twice = network.cues(torch.cat([x[own]] * 2), both)
    assert alone.shape == (1, CUES * CHANNELS)
    assert torch.allclose(alone, twice, atol=1e-4)


def test_an_assessment_has_the_films_own_grid(network: Diffuse, ill: Lungs) -> None:
    seen = assessed(ill, network)
    assert 0 < seen.probability < 1 and seen.heat.shape == SHAPE
    with pytest.raises(ModelError, match="diffuse"):
        assessed(ill, torch.nn.Identity())
