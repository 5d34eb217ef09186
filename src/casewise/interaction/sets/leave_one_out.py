"""How much each accepted mask weighs, by leave-one-out; and whether they are of what a new box holds.

Each accepted mask is predicted from the others, as if it were new. How well that goes is its weight, and how similar the images are
where it goes well says how similar a new one has to be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from casewise.case import Case, Structure
from casewise.image import Box, Image
from casewise.interaction.sets.borders import border_contrast
from casewise.interaction.sets.label_fusion import FusedMask, fused_mask
from casewise.training.metrics import dice

Mask = npt.NDArray[np.bool_]

ENOUGH = 4  # others that a mask is predicted from at most; until then it is predicted anew when another comes
_LOOSE = 0.08  # of a side by which a box is drawn too large
_SELDOM = 0.45  # similarity below which two images of one structure seldom are
_LESS = 0.85  # times the others' similarity to one another: below it, a new image is of something else
_MUCH_LESS, _MANY = 0.8, 4  # the same while fewer than these are known
_LOWEST = 0.95  # and less than this times the similarity of the one that is least like the others
_OF_ANOTHER_SIZE = 0.95  # the same, where the box is also of another size
_CLEAR = 0.3  # contrast of the accepted masks' borders: below it they follow no edge, and a guess need not
_CROSSED = 0.2  # times theirs: a guess whose border has less, or another sign, runs across the image's edges
_SAME = 0.75  # Dice of the guess and the network's own mask: below it they are of different things, and the edges decide
_AS_CLEAR = 0.7  # times the contrast of the network's own mask, which a guess of something else must have
_STRICT = 3
_LEAST = 0.01
_SIZES = 1.3  # times the largest, or a part of the smallest accepted object's sides


@dataclass(frozen=True)
class LeaveOneOut:
    """Of one accepted mask. agreement : 0…1, its Dice with what the ``others`` (a number) predict. similarity : 0…1, of their
    images to its own there. sides : of its box, mm. contrast : of its border on its own image.
    """

    agreement: float
    similarity: float
    others: int
    sides: tuple[float, ...]
    contrast: float


def leave_one_out(case: Case, others: Sequence[Case], structure: str) -> LeaveOneOut:
    """Predict the mask of ``case`` from at most :data:`ENOUGH` of ``others``."""
    mask = case.label_map([Structure.parse(structure)]) > 0
    box = Box.around(mask)
    if box is None:
        return LeaveOneOut(0.0, 0.0, len(others), (0.0,) * mask.ndim, 0.0)
    sides = tuple(n * s for n, s in zip(box.shape, case.image.spacing, strict=True))
    loose = _loosened(box, mask.shape)
    contrast = round(border_contrast(case.image, loose, mask), 4)
    fused = fused_mask(case.image, loose, others[:ENOUGH], structure)
    if fused is None:
        return LeaveOneOut(0.0, 0.0, len(others), sides, contrast)
    agreement = 2 * float((fused.mask & mask).sum()) / float(fused.mask.sum() + mask.sum())
    return LeaveOneOut(round(agreement, 4), round(max(0.0, fused.similarity), 4), len(others), sides, contrast)


def weights(scores: Mapping[str, LeaveOneOut], keys: Sequence[str]) -> list[float]:
    """0…1 of each mask of ``keys``: how well the others predict it, against the one predicted best; 1 where nothing is known."""
    values = [scores[key].agreement * scores[key].similarity if key in scores and scores[key].others else 0.0 for key in keys]
    best = max(values, default=0.0)
    if best <= 0:
        return [1.0] * len(keys)
    return [max(_LEAST, (value / best) ** _STRICT) for value in values]


def dissimilar(fused: FusedMask | None, image: Image, box: Box, scores: Sequence[LeaveOneOut]) -> str | None:
    """Why the accepted masks do not apply to what the box holds, as half a sentence; None where they do.

    scores : of the accepted masks that were fused.
    """
    similarity = fused.similarity if fused is not None else 0.0
    known = [one for one in scores if one.others]
    if not known:
        return f"the similarity is {similarity:.2f}" if similarity < _SELDOM else None
    values = [one.similarity for one in known]
    median = float(np.median(values))
    if median < _SELDOM / 2:  # objects each unlike the others: nothing says how similar the next has to be
        return None
    share = _OF_ANOTHER_SIZE if _of_another_size(image, box, known) else _LESS if len(known) >= _MANY else _MUCH_LESS
    if similarity >= min(share * median, _LOWEST * min(values)):
        return None
    return f"the similarity is {similarity:.2f}, among themselves {median:.2f}"


def across_edges(fused: FusedMask, own: Mask, image: Image, box: Box, scores: Sequence[LeaveOneOut]) -> str | None:
    """Why the picture speaks against the fused mask, as half a sentence; None where it does not.

    Images of two structures may be similar, and the labels of one, laid over the other, then follow its edges in part. own :
    (*spatial) bool, the network's mask after the box alone. scores : as :func:`dissimilar` takes them.
    """
    median = float(np.median([one.contrast for one in scores])) if scores else 0.0
    contrast = fused.contrast if median >= 0 else -fused.contrast
    if abs(median) >= _CLEAR and contrast < _CROSSED * abs(median):
        return f"the contrast along their border is {fused.contrast:.2f} here, {median:.2f} in their own images"
    there = border_contrast(image, box, own) * (1 if median >= 0 else -1)
    if there > 0 and contrast < _AS_CLEAR * there and dice(fused.mask, own) < _SAME:
        return f"the network's own mask is another one and follows the edges better, {abs(there):.2f} to {abs(contrast):.2f}"
    return None


def _of_another_size(image: Image, box: Box, known: Sequence[LeaveOneOut]) -> bool:
    sides = np.array([n * s / (1 + 2 * _LOOSE) for n, s in zip(box.shape, image.spacing, strict=True)])
    others = np.array([one.sides for one in known if len(one.sides) == len(sides)])
    if not len(others):
        return False
    return bool((sides > _SIZES * others.max(axis=0)).any() or (sides < others.min(axis=0) / _SIZES).any())


def _loosened(box: Box, shape: tuple[int, ...]) -> Box:
    pads = [round(_LOOSE * side) for side in box.shape]
    lower = tuple(max(0, low - pad) for low, pad in zip(box.lower, pads, strict=True))
    return Box(lower, tuple(min(n, high + pad) for high, pad, n in zip(box.upper, pads, shape, strict=True)))
