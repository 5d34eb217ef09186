"""A network slides over an image as nnU-Net lets it: windows that overlap by half, weighted by a Gaussian, and mirrored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import combinations, product
from math import ceil

import numpy as np
import torch
from torch import Tensor

_SIGMA = 1 / 8  # of a window's length
_STEP = 0.5  # of a window's length


def slide(network: Callable[[Tensor], Tensor], x: Tensor, patch: Sequence[int], mirrored: Sequence[int] = ()) -> Tensor:
    """Logits (1, outputs, *spatial) float32 on the CPU, of x (1, C, *spatial), which is ``patch`` or more on each axis.

    mirrored : axes of the patch; each window is answered for every way of mirroring it along them too, and the mean counts.
    """
    weight = _gaussian(tuple(patch))
    total: Tensor | None = None
    weights = torch.zeros(x.shape[2:])
    for window in _windows(tuple(x.shape[2:]), patch):
        answer = _mirrored(network, x[(slice(None), slice(None), *window)], mirrored)[0].float().cpu()
        if total is None:
            total = torch.zeros((answer.shape[0], *x.shape[2:]))
        total[(slice(None), *window)] += answer * weight
        weights[window] += weight
    if total is None:
        raise ValueError("an image has at least one window")
    return (total / weights)[None]


def _mirrored(network: Callable[[Tensor], Tensor], x: Tensor, axes: Sequence[int]) -> Tensor:
    ways = [way for count in range(len(axes) + 1) for way in combinations([axis + 2 for axis in axes], count)]
    total = network(x)
    for way in ways[1:]:
        total = total + network(x.flip(way)).flip(way)
    return total / len(ways)


def _windows(shape: Sequence[int], patch: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    starts = []
    for full, wide in zip(shape, patch, strict=True):
        count = ceil((full - wide) / (wide * _STEP)) + 1
        step = (full - wide) / max(1, count - 1)
        starts.append([int(np.round(step * place)) for place in range(count)])
    return (tuple(slice(low, low + wide) for low, wide in zip(corner, patch, strict=True)) for corner in product(*starts))


@lru_cache(maxsize=4)
def _gaussian(patch: tuple[int, ...]) -> Tensor:
    from scipy.ndimage import gaussian_filter

    peak = np.zeros(patch)
    peak[tuple(n // 2 for n in patch)] = 1
    weight = gaussian_filter(peak, [n * _SIGMA for n in patch], mode="constant")
    weight = torch.from_numpy(weight / weight.max()).half().float()  # nnU-Net keeps it in half precision
    return weight.clamp_min(float(weight[weight > 0].min()))
