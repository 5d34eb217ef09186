"""The training of the network of a chest radiograph's lungs and heart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np

from casewise.case import Case, Structure
from casewise.chest.region import HEART, LEFT_LUNG, RIGHT_LUNG
from casewise.models import Model, Preparation, Spec
from casewise.training import Settings, fit
from casewise.training.fit import Progress
from casewise.training.split import split
from experiments.regions.cases import no_chests

if TYPE_CHECKING:
    from casewise.models.networks.efficient_unet import EfficientUNet

NAME = "casewise-chest-regions"
STRUCTURES = tuple(Structure.parse(name) for name in (RIGHT_LUNG, LEFT_LUNG, HEART))
SPEC = Spec("segmentation", {"kind": "efficient_unet", "channels": [16, 32, 48, 96]}, Preparation(2, (224, 224)), STRUCTURES)
SETTINGS = Settings(steps=1200, batch=8, rate=1.5e-3, augmentation="medium", partial=True, device="cpu", patience=99)
FROZEN = ("encoder.net.stem", "encoder.net.stages.0", "encoder.net.stages.1")  # edges: as photographs taught them
MIXED = "hhh-hh-x"  # of eight pictures: five whose heart is outlined, two whose lungs are, one that is no chest
WITHOUT_HEART = "-------x"
# The small U-Net of lungs that networks are adapted from, site by site (``benchmarks.chest_adaptation``).
LUNGS_SPEC = Spec(
    "segmentation", {"kind": "unet", "channels": [16, 32, 64, 96, 128], "patch": 2}, Preparation(2, (128, 128)), STRUCTURES
)
LUNGS = Settings(steps=1200, batch=8, rate=3e-3, partial=True, mixed=True, device="cpu", patience=99)


def trained(films: Sequence[Case], progress: Progress | None = None) -> Model:
    """The network learnt from ``films``, on an encoder learnt on photographs, and from what is no upright chest.

    A film without a heart's outline says nothing about hearts: there the loss takes heart and background as one.
    """
    start = Model.initial(NAME, SPEC, SETTINGS.seed)
    network = cast("EfficientUNet", start.network())
    network.encoder.pretrained()
    start = replace(start, weights={key: tensor.clone() for key, tensor in network.state_dict().items()})
    names = [name for name in start.weights if not name.startswith(FROZEN)]
    others = no_chests(films)
    row = MIXED if any(film.has(STRUCTURES[2]) for film in films) else WITHOUT_HEART
    order = mixture([*films, *others], len(films), SETTINGS, row)
    return fit(start, [*films, *others], trainable=names, order=order, settings=SETTINGS, method="initial", progress=progress)


def with_lungs(cases: Sequence[Case], progress: Progress | None = None) -> Model:
    """A small U-Net of every film's lungs; a seventh of the cases chooses among the states of the training."""
    training, validation = split(cases)
    start = Model.initial(NAME, LUNGS_SPEC, LUNGS.seed)
    return fit(start, training, settings=LUNGS, validation=validation, method="initial", progress=progress)


def mixture(cases: Sequence[Case], films: int, settings: Settings, row: str) -> list[int]:
    """Numbers of the cases in the order shown, each kind in shuffled rounds, by the letters of ``row`` again and again.

    ``h`` : a film with a heart's outline. ``-`` : a film without. ``x`` : what is no upright chest (behind the first ``films``).
    """
    rng = np.random.default_rng(settings.seed)
    kinds = {
        "h": [n for n in range(films) if cases[n].has(STRUCTURES[2])],
        "-": [n for n in range(films) if not cases[n].has(STRUCTURES[2])],
        "x": list(range(films, len(cases))),
    }
    rounds = settings.steps * settings.batch // len(row)
    drawn = {letter: _drawn(kind, row.count(letter) * rounds, rng) for letter, kind in kinds.items() if letter in row}
    columns = []
    for place, letter in enumerate(row):
        begun = row[:place].count(letter) * rounds
        columns.append(drawn[letter][begun : begun + rounds])
    return [number for displayed in zip(*columns, strict=True) for number in displayed]


def _drawn(kind: Sequence[int], count: int, rng: np.random.Generator) -> list[int]:
    drawn = np.concatenate([rng.permutation(kind) for _ in range(-(-count // len(kind)))])
    return [int(number) for number in drawn[:count]]
