"""Structures that overlap, as nnU-Net's region-based networks answer them: each output says of one structure whether it is there.

A voxel counts as the last output that is more probable than not. So a whole tumour, its core and what enhances, in this order, make
three kinds of voxels that exclude each other, and each structure is a union of kinds. ``regions`` has the kinds (numbers from 1) of
each structure; without regions each structure is a kind of its own.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Regions = tuple[tuple[int, ...], ...]


def chances(answer: Tensor, regions: Regions) -> Tensor:
    """(N, 1 + kinds, *spatial) probabilities, summing to 1, background first, from a network's answer (N, outputs, *spatial).

    Of regions: the most probable kind is that of the last output above 0, or background; how sure it is, is the least sure of the
    outputs that decide it.
    """
    if not regions:
        return answer.softmax(dim=1)
    later = torch.flip(torch.cummin(torch.flip(-answer, (1,)), dim=1).values, (1,))  # least of −z from each output on
    none_later = torch.cat([later[:, 1:], torch.full_like(later[:, :1], torch.inf)], dim=1)
    return torch.cat([later[:, :1], torch.minimum(answer, none_later)], dim=1).softmax(dim=1)


def belongs(kinds: Tensor, regions: Regions, structure: int) -> Tensor:
    """Where ``kinds`` (whole numbers) are of a structure (its number, from 0)."""
    if not regions:
        return kinds == structure + 1
    return torch.isin(kinds, torch.tensor(regions[structure], dtype=kinds.dtype, device=kinds.device))


def masks_of(kinds: npt.NDArray[np.uint8], names: tuple[str, ...], regions: Regions) -> dict[str, npt.NDArray[np.bool_]]:
    """Each structure's mask (*spatial); of regions they overlap."""
    return {name: np.isin(kinds, regions[k] if regions else (k + 1,)) for k, name in enumerate(names)}
