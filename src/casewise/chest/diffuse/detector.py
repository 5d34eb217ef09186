"""From a film to what is said of it: the one way by which applications report diffuse disease and the benchmark measures it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from casewise.chest.diffuse.looks import LOOKS, Bands, Look
from casewise.chest.diffuse.views import Lungs, lungs_of
from casewise.chest.region import Regions
from casewise.device import faster
from casewise.errors import ModelError
from casewise.image import Image
from casewise.models.networks.diffuse import Answer, Diffuse, Places
from casewise.models.networks.efficient_net import DEVIATION, MIDDLE
from casewise.probability import logistic
from casewise.segments_map import merged

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Assessment:
    """probability : of the disease, of the whole film. heat : (rows, columns) of the image as it is stored: the probability of a
    film that looked everywhere as it does here; NaN where no place with lung was looked at. rows : of the film from the lungs' apex
    to their base; below :data:`casewise.chest.diffuse.views.COARSE` it does not show fine signs.
    """

    probability: float
    heat: Floats
    rows: int


def assess(image: Image, found: Regions, network: nn.Module) -> Assessment:
    """A frontal chest radiograph whose regions :func:`casewise.chest.regions` found.

    Raises CasewiseError, one sentence, where no lung was found; ModelError for a network of another kind.
    """
    return assessed(lungs_of(image, found), network)


def assessed(lungs: Lungs, network: nn.Module) -> Assessment:
    """A film's lungs as the network judges them, the mean over ``LOOKS``."""
    if not isinstance(network, Diffuse):
        raise ModelError(f"Diffuse disease is looked for by a network of the kind diffuse; got {type(network).__name__}.")
    answers = answered(lungs, network)
    odds = float(torch.stack([one.odds[0] for one in answers]).mean())
    chances = logistic(torch.stack([one.evidence for one in answers]).mean(dim=0).cpu().numpy())
    places = lungs.places(chances, answers[0].weights.cpu().numpy())
    heat = merged(places, next(iter(lungs.segments.regions.values())).shape)
    return Assessment(float(logistic(odds)), np.ascontiguousarray(lungs.pose.back(heat)), lungs.rows)


def answered(lungs: Lungs, network: Diffuse, looks: Sequence[Look] = LOOKS) -> list[Answer]:
    """The network's answer to each look of a film."""
    device = next(network.parameters()).device
    bands, places = Bands(lungs.pixels, lungs.inside > 0), places_of([lungs])
    places = Places(*(tensor.to(device) for tensor in places))
    with torch.inference_mode(), faster(device.type):
        return [network.answer(as_input(bands.seen(look)).to(device), places) for look in looks]


def as_input(seen: Floats) -> Tensor:
    """(S, 1, rows, columns) of segments in 0 to 1."""
    return torch.from_numpy((seen - np.float32(MIDDLE)) / np.float32(DEVIATION))[:, None]


def places_of(films: Sequence[Lungs]) -> Places:
    """Where the segments of the films lie, one film after the other."""
    return Places(
        torch.from_numpy(np.concatenate([lungs.inside for lungs in films])),
        torch.from_numpy(np.concatenate([lungs.height for lungs in films])),
        torch.from_numpy(np.concatenate([lungs.side for lungs in films])),
        torch.from_numpy(np.repeat(np.arange(len(films)), [len(lungs.side) for lungs in films])),
    )
