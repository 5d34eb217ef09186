"""Whether the detector gains from refinement on the films of an archive most similar to the one at hand, judged by its lungs.

It starts from the network that never saw a film of JSRT, and the archive is JSRT less the film's own fold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from benchmarks._irregularities_table import compared, froc_table
from casewise.case import Case
from casewise.chest.nodules.box_fusion import Detection
from casewise.chest.nodules.training import Marks
from casewise.models import shipped
from casewise.models.encoding import ModelEncoder
from casewise.training import fit
from experiments.nodules.networks import MEMBERS, THEN, examples_of, first, folds, found_by, keep, kept, unseen
from experiments.nodules.radiographs import Radiograph

COUNT = 8
SETTINGS = replace(THEN, steps=20, batch=4, rate=5e-4)
Found = dict[str, list[Detection]]


def similar_table(films: Sequence[Radiograph], trained: Found) -> list[str]:
    """trained : what the network finds that was trained on all of each archive."""
    vectors = _vectors(films)
    arms: dict[str, Found] = {
        "not refined": unseen(films)[MEMBERS["chests"]],
        f"refined on {COUNT} random": _kept("random-0", films, lambda number: _random(films, number)),
        f"refined on the {COUNT} most similar": _kept("similar-0", films, lambda number: _similar(films, number, vectors)),
        "trained on the whole archive": trained,
    }
    names = list(arms)
    lines = [
        f"The network of the whole image that was trained on NLM's films alone; refined for each film of JSRT by itself, "
        f"{SETTINGS.steps} steps of {SETTINGS.batch} crops, on {COUNT} films of the other folds: those whose lungs are "
        "most similar (cosine of the shipped encoder over the lungs, less the archive's mean), or as many at random. One seed.",
        "",
        *froc_table(films, arms),
        "",
        "| difference of sensitivity at | 1 | 2 | 4 | mean of the four |",
        "|---|---|---|---|---|",
    ]
    pairs = ((names[2], names[0]), (names[2], names[1]), (names[2], names[3]))
    return [*lines, *(compared(films, arms, one, other) for one, other in pairs)]


def _kept(name: str, films: Sequence[Radiograph], chosen: Callable[[int], Sequence[int]]) -> Found:
    found = kept(name) or {}
    start = first("chests")
    for number, film in enumerate(films):
        if film.name in found:
            continue
        numbers = chosen(number)
        cases = [Case.of(films[n].image, name=films[n].name, site="jsrt") for n in numbers]
        model = fit(start, cases, settings=SETTINGS, method="similar", source=examples_of(films, numbers), objective=Marks())
        (found[film.name],) = found_by([model], film)
        keep(name, found)
    return found


def _archive(films: Sequence[Radiograph], number: int) -> list[int]:
    own = next(fold for fold in folds(films) if number in fold)
    return [n for n in range(len(films)) if n not in own]


def _random(films: Sequence[Radiograph], number: int) -> list[int]:
    return [int(n) for n in np.random.default_rng([5, number]).permutation(_archive(films, number))[:COUNT]]


def _similar(films: Sequence[Radiograph], number: int, vectors: npt.NDArray[np.float32]) -> list[int]:
    archive = _archive(films, number)
    centred = vectors - vectors[archive].mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    order = np.argsort(-(centred[archive] @ centred[number]), kind="stable")
    return [archive[int(n)] for n in order[:COUNT]]


def _vectors(films: Sequence[Radiograph]) -> npt.NDArray[np.float32]:
    lungs = [film.regions["left_lung"] | film.regions["right_lung"] for film in films]
    return ModelEncoder(shipped.load("encoder"), "cpu").encode([film.image for film in films], lungs)
