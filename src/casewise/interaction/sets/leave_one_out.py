"""Which accepted masks to believe, and whether they show what was marked in a new image.

Each accepted mask is foretold from the others, as if it were new: how well that goes says how much it is worth, and how alike the
images are where it goes well says how alike a new one has to be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from casewise.case import Case, Structure
from casewise.image import Box, Image
from casewise.interaction.sets.label_fusion import Vote, counted

Mask = npt.NDArray[np.bool_]

WITNESSES = 4  # others that a mask is foretold from at most, and until which it is foretold anew when another comes
_LOOSE = 0.08  # of a side by which a box is drawn too large
_SELDOM = 0.45  # likeness below which two images of one structure seldom are
_LESS = 0.85  # times the others' likeness to one another: less alike, a new image shows something else
_MUCH_LESS, _ENOUGH = 0.8, 4  # the same while fewer than these are known
_LOWEST = 0.95  # and less than this times the likeness of the one that is least like the others
_SIMILAR = 0.95  # the same, where the box is also of another size
_STRICT = 3
_LEAST = 0.01
_SIZES = 1.3  # times the largest, or a part of the smallest accepted object's sides


@dataclass(frozen=True)
class Judged:
    """Of one accepted mask: ``agreement`` 0…1, Dice with what ``witnesses`` others foretell; ``alike`` 0…1, how much their images
    look like its own there; ``sides``, of its box, mm.
    """

    agreement: float
    alike: float
    witnesses: int
    sides: tuple[float, ...]


def judge(case: Case, others: Sequence[Case], structure: str) -> Judged:
    """Foretell the mask of ``case`` from at most :data:`WITNESSES` of ``others``."""
    mask = _mask(case, structure)
    box = Box.around(mask)
    if box is None:
        return Judged(0.0, 0.0, len(others), (0.0,) * mask.ndim)
    sides = tuple(n * s for n, s in zip(box.shape, case.image.spacing, strict=True))
    vote = counted(case.image, _loosened(box, mask.shape), others[:WITNESSES], structure)
    if vote is None:
        return Judged(0.0, 0.0, len(others), sides)
    agreement = 2 * float((vote.mask & mask).sum()) / float(vote.mask.sum() + mask.sum())
    return Judged(round(agreement, 4), round(max(0.0, vote.alike), 4), len(others), sides)


def trust(judged: Mapping[str, Judged], keys: Sequence[str]) -> list[float]:
    """0…1 of each mask of ``keys``: how well the others foretell it, against the one foretold best; 1 where none can tell."""
    values = [judged[key].agreement * judged[key].alike if key in judged and judged[key].witnesses else 0.0 for key in keys]
    best = max(values, default=0.0)
    if best <= 0:
        return [1.0] * len(keys)
    return [max(_LEAST, (value / best) ** _STRICT) for value in values]


def misleads(vote: Vote | None, image: Image, box: Box, judged: Sequence[Judged]) -> str | None:
    """Why the accepted masks say nothing of what the box holds, as half a sentence; None where they do say something.

    judged : the accepted masks that were asked.
    """
    alike = vote.alike if vote is not None else 0.0
    known = [one for one in judged if one.witnesses]
    if not known:
        return f"the likeness is {alike:.2f}" if alike < _SELDOM else None
    values = [one.alike for one in known]
    usual = float(np.median(values))
    if usual < _SELDOM / 2:  # objects that look each like itself: nothing tells how alike the next has to be
        return None
    share = _SIMILAR if _of_another_size(image, box, known) else _LESS if len(known) >= _ENOUGH else _MUCH_LESS
    if alike >= min(share * usual, _LOWEST * min(values)):
        return None
    return f"the likeness is {alike:.2f}, among themselves {usual:.2f}"


def _of_another_size(image: Image, box: Box, known: Sequence[Judged]) -> bool:
    sides = np.array([n * s / (1 + 2 * _LOOSE) for n, s in zip(box.shape, image.spacing, strict=True)])
    theirs = np.array([one.sides for one in known if len(one.sides) == len(sides)])
    if not len(theirs):
        return False
    return bool((sides > _SIZES * theirs.max(axis=0)).any() or (sides < theirs.min(axis=0) / _SIZES).any())


def _loosened(box: Box, shape: tuple[int, ...]) -> Box:
    pads = [round(_LOOSE * side) for side in box.shape]
    lower = tuple(max(0, low - pad) for low, pad in zip(box.lower, pads, strict=True))
    return Box(lower, tuple(min(n, high + pad) for high, pad, n in zip(box.upper, pads, shape, strict=True)))


def _mask(case: Case, structure: str) -> Mask:
    return case.label_map([Structure.parse(structure)]) > 0
