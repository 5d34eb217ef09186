"""Structures that overlap: each output of a network says of one structure whether it is there.

Voxels are of kinds (numbers from 1) that exclude each other, and a structure is a union of kinds; ``regions`` has the kinds of each
structure. There are two ways:

- nnU-Net's regions: a voxel counts as the last output that is more probable than not. So a whole tumour, its core and what
  enhances, in this order, make three kinds, as many as outputs.
- Outputs that know nothing of each other, as of MONAI's bundles (:func:`independent`): every combination of structures is a kind.

Without regions each structure is a kind of its own.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Regions = tuple[tuple[int, ...], ...]

MOST = 5  # structures that know nothing of each other: their combinations double with each


def independent(structures: int) -> Regions:
    """Of structures each of which may be there or not: the k-th is in the kinds whose k-th binary digit is 1."""
    return tuple(tuple(kind for kind in range(1, 1 << structures) if kind >> number & 1) for number in range(structures))


def kinds_in(regions: Regions, structures: int) -> int:
    """How many kinds there are beside background."""
    return max(max(own) for own in regions) if regions else structures


def chances(answer: Tensor, regions: Regions) -> Tensor:
    """(N, 1 + kinds, *spatial) probabilities, summing to 1, background first, from a network's answer (N, outputs, *spatial).

    Of nnU-Net's regions: the most probable kind is that of the last output above 0, or background; how sure it is, is the least
    sure of the outputs that decide it. Of independent outputs: the product of each output's probability, or of its opposite.
    """
    if not regions:
        return answer.softmax(dim=1)
    if are_independent(regions):
        return combined(answer.sigmoid(), dim=1)
    later = torch.flip(torch.cummin(torch.flip(-answer, (1,)), dim=1).values, (1,))  # least of −z from each output on
    none_later = torch.cat([later[:, 1:], torch.full_like(later[:, :1], torch.inf)], dim=1)
    return torch.cat([later[:, :1], torch.minimum(answer, none_later)], dim=1).softmax(dim=1)


def combined(likely: Tensor, dim: int = 0) -> Tensor:
    """The probability of each combination of independent structures, along ``dim``, from that of each structure."""
    parts = [torch.ones_like(likely.select(dim, 0))]
    for own in likely.unbind(dim):
        parts = [part * (1 - own) for part in parts] + [part * own for part in parts]
    return torch.stack(parts, dim)


def belongs(kinds: Tensor, regions: Regions, structure: int) -> Tensor:
    """Where ``kinds`` (whole numbers) are of a structure (its number, from 0)."""
    if not regions:
        return kinds == structure + 1
    return torch.isin(kinds, torch.tensor(regions[structure], dtype=kinds.dtype, device=kinds.device))


def masks_of(kinds: npt.NDArray[np.uint8], names: tuple[str, ...], regions: Regions) -> dict[str, npt.NDArray[np.bool_]]:
    """Each structure's mask (*spatial); of regions they overlap."""
    return {name: np.isin(kinds, regions[k] if regions else (k + 1,)) for k, name in enumerate(names)}


def are_independent(regions: Regions) -> bool:
    """Whether they are those of :func:`independent`."""
    return len(regions) > 1 and regions == independent(len(regions))
