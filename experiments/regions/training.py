"""The four steps of training the network of a chest radiograph's regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from casewise.case import Case, Structure
from casewise.chest import regions
from casewise.chest.region import HEART, LEFT_LUNG, RIGHT_LUNG
from casewise.errors import CasewiseError
from casewise.models import Model, Preparation, Spec
from casewise.training import Settings, fit
from casewise.training.fit import Progress
from casewise.training.split import split
from experiments.regions.cases import no_chests

STRUCTURES = tuple(Structure.parse(name) for name in (RIGHT_LUNG, LEFT_LUNG, HEART))


NETWORK = {"kind": "unet", "channels": [16, 32, 64, 96, 128], "patch": 2}


SPEC = Spec("segmentation", NETWORK, Preparation(2, (128, 128)), STRUCTURES)


LUNGS = Settings(steps=1200, batch=8, rate=3e-3, partial=True, mixed=True, device="cpu", patience=99)


REGIONS = Settings(steps=2200, batch=4, rate=5e-3, augmentation="light", partial=True, mixed=True, device="cpu", patience=99)


FINISH = replace(REGIONS, steps=2400, rate=3e-3, augmentation="medium")


FINER = replace(REGIONS, steps=1000, rate=2e-3)


FINE = Preparation(2, (192, 192))


MORE = replace(FINER, steps=400)


NAME = "casewise-chest-regions"


def with_lungs(cases: Sequence[Case], progress: Progress | None = None) -> Model:
    """The first step: every film's lungs; a seventh of the cases chooses among the states of the training."""
    training, validation = split(cases)
    start = Model.initial(NAME, SPEC, LUNGS.seed)
    return fit(start, training, settings=LUNGS, validation=validation, method="initial", progress=progress)


def with_heart(model: Model, films: Sequence[Case], progress: Progress | None = None) -> Model:
    """The second step: ``model`` continued on films of which some have a heart's outline, and on what is no upright chest."""
    return _continued(model, films, REGIONS, "h-hx", progress)


def finished(model: Model, films: Sequence[Case], progress: Progress | None = None) -> Model:
    """The third step: as the second, at a lower rate and with more of the films that have a heart's outline."""
    return _continued(model, films, FINISH, "hhh-hhhx", progress)


def finer(model: Model, films: Sequence[Case], progress: Progress | None = None) -> Model:
    """The fourth step: a finer grid, and hearts as ``model`` outlines them where nobody did."""
    start = Model(model.name, replace(model.spec, preparation=FINE), model.weights, model.lineage)
    return _continued(start, films, FINER, "hh-hh-hx", progress, [with_guessed_heart(film, model) for film in films])


def continued(model: Model, films: Sequence[Case], progress: Progress | None = None) -> Model:
    """What a fifth step would be: ``model`` on more films with a heart's outline, at the finer grid."""
    return _continued(model, films, MORE, "hhh-hhhx", progress)


def with_guessed_heart(film: Case, model: Model) -> Case:
    """``film`` with the heart that ``model`` sees in it, less the film's own lungs; as it is where it has one or none is seen."""
    if film.has(STRUCTURES[2]):
        return film
    try:
        heart = regions(film.image, "cpu", model=model).masks[HEART]
    except (CasewiseError, KeyError):
        return film
    own = heart & ~(film.load_masks[RIGHT_LUNG]() | film.load_masks[LEFT_LUNG]())
    return replace(film, load_masks={**film.load_masks, HEART: lambda: own})


def _continued(
    model: Model,
    films: Sequence[Case],
    settings: Settings,
    row: str,
    progress: Progress | None,
    displayed: Sequence[Case] | None = None,
) -> Model:
    """``shown`` : the films as they are shown, where that is not as they are drawn."""
    others = no_chests(films)
    order = mixture([*films, *others], len(films), settings, row)
    return fit(model, [*(displayed or films), *others], order=order, settings=settings, progress=progress)


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
    drawn = {letter: _drawn(kind, row.count(letter) * rounds, rng) for letter, kind in kinds.items()}
    columns = []
    for place, letter in enumerate(row):
        begun = row[:place].count(letter) * rounds
        columns.append(drawn[letter][begun : begun + rounds])
    return [number for displayed in zip(*columns, strict=True) for number in displayed]


def _drawn(kind: Sequence[int], count: int, rng: np.random.Generator) -> list[int]:
    drawn = np.concatenate([rng.permutation(kind) for _ in range(-(-count // len(kind)))])
    return [int(number) for number in drawn[:count]]
