"""A detector of what is spread over the lungs: what a frozen encoder sees in each place, weighed; the mean is the answer."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from casewise.device import exact
from casewise.models.networks.efficient_net import STAGES, EfficientNetLite

DEPTH = 5  # stages of the encoder; later ones tell one hospital's films from another's
TAPS = (3, 4)  # stages whose outputs are what is known of a place
STRIDE = STAGES[DEPTH - 1].reduction  # pixels a place
CHANNELS = sum(STAGES[stage].channels for stage in TAPS)
CUES = 2  # of each channel: its mean and its spread
BANDS = 6  # of a lung, from its top to its base
_LEAST = 1e-3  # of a spread, and of the lung in a band that is there


class Places(NamedTuple):
    """Where the pixels of S segments lie, of one film or several.

    inside : (S, rows, columns), how much of a pixel is lung, shared out among the segments that show it.
    height : (S, rows), 0 to 1, how far down its lung a row lies. side : (S,) long, 0 or 1. film : (S,) long, from 0 on.
    """

    inside: Tensor
    height: Tensor
    side: Tensor
    film: Tensor


class Answer(NamedTuple):
    """odds : (films,) log-odds. evidence : (S, rows / ``STRIDE``, columns / ``STRIDE``), log-odds too: the film's are their mean,
    every band of either lung counting alike. weights : the same shape, how much of a place is lung.
    """

    odds: Tensor
    evidence: Tensor
    weights: Tensor


class Bands(NamedTuple):
    """Of each film, lung and band: mean and spread (films, 2, ``BANDS``, C) of the features, and which bands hold lung (films, 2,
    ``BANDS``, 1).
    """

    mean: Tensor
    spread: Tensor
    there: Tensor


class Diffuse(nn.Module):
    """Input: segments (S, 1, rows, columns) as :class:`EfficientNetLite` takes them, left lungs mirrored so that both lie alike.

    The encoder is as it was learnt on photographs. ``head`` weighs the mean and the spread of each channel in a band of a lung.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = EfficientNetLite(1, DEPTH)
        self.head = nn.Linear(CUES * CHANNELS, 1)

    def forward(self, x: Tensor, places: Places) -> Tensor:
        """(films,) log-odds."""
        return self.answer(x, places).odds

    def answer(self, x: Tensor, places: Places) -> Answer:
        features, weights = self._seen(x, places)
        with exact(features.device.type):  # half of the digits are too few for sums of many cues
            bands, cell = _bands_of(features, weights, places)
            return Answer(self.head(_cues(bands))[:, 0], self._evidence(features, bands, cell), weights)

    def cues(self, x: Tensor, places: Places) -> Tensor:
        """(films, ``CUES`` × ``CHANNELS``): what ``head`` weighs."""
        return _cues(_bands_of(*self._seen(x, places), places)[0])

    def pretrained(self) -> Diffuse:
        """The same with the encoder's weights that were learnt on photographs."""
        self.encoder.pretrained()
        return self

    def _seen(self, x: Tensor, places: Places) -> tuple[Tensor, Tensor]:
        """((S, ``CHANNELS``, places), (S, places) how much of each is lung)."""
        levels = self.encoder.levels_of(x)
        features = torch.cat([levels[stage].float() for stage in TAPS], dim=1)
        size = features.shape[2], features.shape[3]
        return features, functional.adaptive_avg_pool2d(places.inside[:, None], size)[:, 0]

    def _evidence(self, features: Tensor, bands: Bands, cell: Tensor) -> Tensor:
        """(S, places): what each place adds to the cues of its band, weighed."""
        level, spread = self.head.weight.float().reshape(CUES, CHANNELS)
        x = features.permute(0, 2, 3, 1)  # (S, rows, columns, C); a band's are (S, rows, 1, C)
        apart = (x - _of_rows(bands.mean, cell)).square() / _of_rows(bands.spread, cell).clamp_min(_LEAST)
        evidence: Tensor = x @ level + apart @ spread + self.head.bias
        return evidence


def _cues(bands: Bands) -> Tensor:
    """(films, ``CUES`` × C): the mean over the bands that are there."""
    there = bands.there.float()
    count = there.sum(dim=(1, 2)).clamp_min(1)
    return torch.cat([(values * there).sum(dim=(1, 2)) / count for values in (bands.mean, bands.spread)], dim=1)


def _bands_of(features: Tensor, weights: Tensor, places: Places) -> tuple[Bands, Tensor]:
    """(each film's bands, (S, rows) the number of each row's band among all)."""
    films = int(places.film.max()) + 1
    height = functional.adaptive_avg_pool1d(places.height[:, None], features.shape[2])[:, 0]
    band = (height * BANDS).long().clamp(0, BANDS - 1)
    cell = (places.film * 2 + places.side)[:, None] * BANDS + band

    def summed(values: Tensor) -> Tensor:
        """(films, 2, ``BANDS``, …) of (S, rows, …)."""
        flat = values.flatten(0, 1)
        total = torch.zeros(films * 2 * BANDS, flat.shape[1], dtype=flat.dtype, device=flat.device)
        return total.index_add(0, cell.flatten(), flat).reshape(films, 2, BANDS, -1)

    weighted = weights[:, None]
    lung = summed(weights.sum(dim=2)[:, :, None])
    mean = summed((features * weighted).sum(dim=3).permute(0, 2, 1)) / lung.clamp_min(_LEAST)
    apart = (features - _of_rows(mean, cell).permute(0, 3, 1, 2)).square()
    variance = summed((apart * weighted).sum(dim=3).permute(0, 2, 1)) / lung.clamp_min(_LEAST)
    return Bands(mean, variance.clamp_min(0).sqrt(), lung > _LEAST), cell


def _of_rows(values: Tensor, cell: Tensor) -> Tensor:
    """(S, rows, 1, C): of each row the values (films, 2, ``BANDS``, C) of the band ``cell``."""
    return values.flatten(0, 2)[cell][:, :, None]
