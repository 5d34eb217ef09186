"""Training on films' answers alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from casewise.chest.diffuse import assessed
from casewise.chest.diffuse.training import all_balanced, balanced, cues_of, fitted, odds_of, together
from casewise.chest.diffuse.views import lungs_in
from casewise.models.networks.diffuse import Diffuse
from casewise.probability import logistic
from tests.chest.diffuse.films import lung_masks, plane_of, with_blob

ILL = np.array([False, True, False, True, False, True])


@pytest.fixture(scope="module")
def trained() -> tuple[Diffuse, np.ndarray, list]:
    """A detector of blobs in the upper right lung, its films' log-odds, and the films."""
    masks = lung_masks()
    planes = [plane_of(masks, seed) for seed in range(len(ILL))]
    films = [lungs_in(with_blob(one, 150, 110, 40) if ILL[n] else one, masks) for n, one in enumerate(planes)]
    network = Diffuse().pretrained().eval()
    cues = np.stack([cues_of(lungs, network) for lungs in films])
    head = fitted(cues, ILL, balanced(ILL))
    return together(network, head), odds_of(cues, head), films


def test_it_learns_what_the_ill_films_show_and_says_the_same_of_a_film_when_asked(trained) -> None:
    network, odds, films = trained
    assert odds[ILL].min() > odds[~ILL].max()
    seen = assessed(films[1], network)
    assert seen.probability == pytest.approx(float(logistic(odds[1])), abs=0.02)


def test_the_map_is_hottest_where_the_films_differ(trained) -> None:
    network, _, films = trained
    heat = assessed(films[1], network).heat
    rows, columns = np.ogrid[: heat.shape[0], : heat.shape[1]]
    blob = (rows - 150) ** 2 + (columns - 110) ** 2 < 40**2
    assert np.nanmean(heat[blob]) > np.nanmean(heat[~blob]) + 0.05
    assert np.nanmean(heat[:, 200:]) < np.nanmean(heat[blob])


def test_a_calibration_moves_the_log_odds() -> None:
    head = torch.nn.Linear(4, 1).requires_grad_(False)
    network = Diffuse()
    network.head = torch.nn.Linear(4, 1)
    moved = together(network, head, 0.5, -1.0).head
    cues = np.random.default_rng(0).normal(size=(3, 4))
    assert odds_of(cues, moved) == pytest.approx(0.5 * odds_of(cues, head) - 1, abs=1e-5)


def test_both_answers_of_a_site_count_alike() -> None:
    few = np.array([True, False, False, False])
    weights = balanced(few)
    assert weights[few].sum() == pytest.approx(weights[~few].sum()) and weights.mean() == pytest.approx(1)
    assert all_balanced([few, ILL]).tolist() == [*weights, *balanced(ILL)]


def test_cues_are_scaled_by_the_films_that_are_named() -> None:
    rng = np.random.default_rng(1)
    cues = np.concatenate([rng.normal(size=(20, 3)), rng.normal(100, 50, (20, 3))])
    ill = np.arange(40) % 2 == 0
    own = np.arange(40) < 20
    one, other = fitted(cues, ill, np.ones(40), own), fitted(cues * 7 + 3, ill, np.ones(40), own)
    assert odds_of(cues, one) == pytest.approx(odds_of(cues * 7 + 3, other), abs=1e-2)
