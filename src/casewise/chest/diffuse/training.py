"""Training of a detector of diffuse disease on films' answers alone: no place is marked in them.

The encoder stays as it is; a regularised logistic regression weighs what it sees. With so few films all that is trained beyond
that learns one hospital's films.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from casewise.chest.diffuse.detector import as_input, places_of
from casewise.chest.diffuse.looks import LOOKS, Bands
from casewise.chest.diffuse.views import Lungs
from casewise.device import faster
from casewise.models.networks.diffuse import Diffuse

STRENGTH = 10.0  # of the regression, divided by the number of cues
Floats = npt.NDArray[np.float64]


def cues_of(lungs: Lungs, network: Diffuse) -> Floats:
    """What the head weighs in a film: the mean over ``LOOKS``."""
    bands, places = Bands(lungs.pixels, lungs.inside > 0), places_of([lungs])
    with torch.inference_mode(), faster("cpu"):
        seen = [network.cues(as_input(bands.seen(look)), places)[0].float() for look in LOOKS]
    return np.asarray(torch.stack(seen).mean(dim=0).numpy(), np.float64)


def fitted(cues: Floats, ill: npt.NDArray[np.bool_], weights: Floats, scaled_by: npt.NDArray[np.bool_] | None = None) -> nn.Linear:
    """The head of a detector. cues : (films, …). weights : (films,), of each film's loss. scaled_by : the films whose means and
    deviations the cues are standardised with; all without it.
    """
    from sklearn.linear_model import LogisticRegression

    chosen = cues if scaled_by is None else cues[scaled_by]
    middle, spread = chosen.mean(axis=0), chosen.std(axis=0) + 1e-6
    regression = LogisticRegression(C=STRENGTH / cues.shape[1], max_iter=5000)
    regression.fit((cues - middle) / spread, ill, sample_weight=weights)
    weight = regression.coef_[0] / spread
    head = nn.Linear(cues.shape[1], 1)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weight)[None])
        head.bias.copy_(torch.from_numpy(regression.intercept_ - weight @ middle))
    return head.requires_grad_(False)


def balanced(ill: npt.NDArray[np.bool_]) -> Floats:
    """(films,) weights by which both answers of a site count alike, one on average."""
    share = ill.mean()
    return np.asarray(np.where(ill, 1 / (2 * share), 1 / (2 * (1 - share))), np.float64)


def odds_of(cues: Floats, head: nn.Linear) -> Floats:
    """(films,) log-odds."""
    weight, bias = head.weight.detach().double().numpy()[0], float(head.bias.detach())
    return np.asarray(cues @ weight + bias)


def together(network: Diffuse, head: nn.Linear, slope: float = 1.0, shift: float = 0.0) -> Diffuse:
    """``network`` with that head; its log-odds ``slope`` times as large, plus ``shift``."""
    with torch.no_grad():
        network.head.weight.copy_(head.weight * slope)
        network.head.bias.copy_(head.bias * slope + shift)
    return network


def all_balanced(sites: Sequence[npt.NDArray[np.bool_]]) -> Floats:
    """The weights of several sites' films, each site balanced for itself."""
    return np.concatenate([balanced(ill) for ill in sites])
