"""A first mask where a box was drawn, from accepted cases: the labels in their objects' boxes, registered to this one and fused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from casewise.case import Case, Structure
from casewise.image import Box, Image
from casewise.interaction.sets.borders import border_contrast
from casewise.registration import crops
from casewise.registration.label_fusion import LabelFusion

Mask = npt.NDArray[np.bool_]

_SIMILAR = 0.25  # correlation below which a case is left out
_THRESHOLD = 0.5  # of the fused probability
_SHARPNESS = 4.0


@dataclass(frozen=True, eq=False)
class FusedMask:
    """mask : (*spatial) bool, the object by the fused labels. similarity : −1…1, local correlation of the cases' registered
    crops with the image's, mean over the box and the cases. contrast : along the mask's border, as
    :func:`casewise.interaction.sets.borders.border_contrast` measures it.
    """

    mask: Mask
    similarity: float
    contrast: float


def fused_mask(
    image: Image, box: Box, cases: Sequence[Case], structure: str, trust: Sequence[float] | None = None
) -> FusedMask | None:
    """The cases' masks of ``structure`` registered to the box and fused; None where no case is similar.

    A case weighs as much as its crop correlates with the image's, times its ``trust`` (0…1). The image's own channels are averaged,
    as the cases' are.
    """
    grey, drawn, axes = _grey(image), _sides(box), image.spatial_dims
    found, labels, weights = [], [], []
    for case, trusted in zip(cases, trust if trust is not None else [1.0] * len(cases), strict=True):
        mask = case.label_map([Structure.parse(structure)]) > 0
        own = Box.around(mask)
        if own is None or case.image.spatial_dims != axes:
            continue
        values, sides = _grey(case.image), _sides(own)
        fitted, correlation = crops.fitted(grey, drawn, crops.cut(values, sides, crops.FITTED[axes]))
        if correlation < _SIMILAR:
            continue
        there = crops.carried(drawn, fitted, sides)
        found.append(crops.cut(values, there, crops.FINE[axes]))
        labels.append(crops.cut(torch.from_numpy(mask.astype(np.float32)), there, crops.FINE[axes], "zeros"))
        weights.append(trusted * correlation**2)
    if not weights:
        return None
    moved, similarity = crops.bend(crops.cut(grey, drawn, crops.FINE[axes]), torch.stack(found), torch.stack(labels))
    fusion = LabelFusion(_SHARPNESS)
    fusion.add(moved[:, None], similarity, torch.tensor(weights))
    whole = np.zeros(image.spatial_shape, bool)
    whole[box.slices] = crops.within(fusion.probabilities()[1], box.shape).numpy() > _THRESHOLD
    if not whole.any():
        return None
    return FusedMask(whole, float(similarity.mean()), border_contrast(image, box, whole))


def _sides(box: Box) -> Tensor:
    return torch.tensor([box.lower, box.upper], dtype=torch.float32)


def _grey(image: Image) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.array.mean(axis=0, dtype=np.float32)))
