"""Marks of a volume's slices joined to boxes of the volume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from casewise.irregularities.box_fusion import Detection, overlap

JOINED = 0.2  # of their union that the marks of neighbouring slices share


@dataclass(frozen=True)
class Marked:
    """A mark through slices ``first`` to ``last`` (not with it). best : where it is most probable, in ``slice``; place and size
    are the mean over the slices, weighted by probability.
    """

    best: Detection
    slice: int
    first: int
    last: int


def through_slices(found: Mapping[int, Sequence[Detection]]) -> list[Marked]:
    """Marks of the volume, the most probable first. found : number of the slice → its marks, in the slices' own pixels.

    A mark goes on in the next slice where one shares at least a fifth of their union with it; each belongs to one chain.
    """
    chains: list[list[tuple[int, Detection]]] = []
    for number in sorted(found):
        open_chains = [chain for chain in chains if chain[-1][0] == number - 1]
        pairs = [
            (overlap(chain[-1][1], one), place, n) for place, chain in enumerate(open_chains) for n, one in enumerate(found[number])
        ]
        taken: set[int] = set()
        gone: set[int] = set()
        for shared, place, n in sorted(pairs, reverse=True):
            if shared >= JOINED and place not in gone and n not in taken:
                open_chains[place].append((number, found[number][n]))
                gone.add(place)
                taken.add(n)
        chains += [[(number, one)] for n, one in enumerate(found[number]) if n not in taken]
    return sorted(map(_joined, chains), key=lambda one: -one.best.probability)


def _joined(chain: Sequence[tuple[int, Detection]]) -> Marked:
    number, best = max(chain, key=lambda pair: pair[1].probability)
    weights = np.array([one.probability for _, one in chain]) + 1e-9
    row, column, edge = np.average([(one.row, one.column, one.edge) for _, one in chain], axis=0, weights=weights)
    mean = Detection(float(row), float(column), float(edge), best.probability, best.region, best.segment)
    return Marked(mean, number, chain[0][0], chain[-1][0] + 1)
