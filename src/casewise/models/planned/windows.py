"""A network slides over an image as nnU-Net lets it: windows that overlap, weighted by a Gaussian, and mirrored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import combinations, groupby, product
from math import ceil

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

_SIGMA = 1 / 8  # of a window's length
_HIGHEST = 10  # weight of a voxel; the lowest is the smallest number of half precision
STEP = 0.5  # of a window's length


def slide(
    network: Callable[[Tensor], Tensor], x: Tensor, patch: Sequence[int], mirrored: Sequence[int] = (), step: float = STEP
) -> Tensor:
    """Logits (1, outputs, *spatial) float32 on the CPU, of x (1, C, *spatial), which is ``patch`` or more on each axis.

    mirrored : axes of the patch; each window is answered for every way of mirroring it along them too, and the mean counts.
    step : the share of a window by which the next one is moved.
    """
    weight = _gaussian(tuple(patch))
    total: Tensor | None = None
    weights = torch.zeros(x.shape[2:])
    for window in _windows(tuple(x.shape[2:]), patch, step):
        answer = _mirrored(network, x[(slice(None), slice(None), *window)], mirrored)[0].float().cpu()
        if total is None:
            total = torch.zeros((answer.shape[0], *x.shape[2:]))
        total[(slice(None), *window)] += answer * weight
        weights[window] += weight
    if total is None:
        raise ValueError("an image has at least one window")
    return total.div_(weights)[None]


def slide_winners(
    network: Callable[[Tensor], Tensor], x: Tensor, patch: Sequence[int], step: float = STEP
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Of the logits of :func:`slide` the number of the largest, and its probability, each (*spatial).

    Only logits within a window's length along the first axis are in memory at a time.
    """
    shape, weight = tuple(x.shape[2:]), _gaussian(tuple(patch))
    winners, chances = np.zeros(shape, np.uint8), np.zeros(shape, np.float32)
    total, weights, first = torch.zeros(0), torch.zeros((patch[0], *shape[1:])), 0
    for start, windows in groupby(_windows(shape, patch, step), lambda window: window[0].start):
        if start > first:
            winners[first:start], chances[first:start] = _winners(total, weights, start - first)
            total, weights, first = _moved(total, start - first, 1), _moved(weights, start - first, 0), start
        for window in windows:
            answer = network(x[(slice(None), slice(None), *window)])[0].float().cpu()
            if not total.numel():
                total = torch.zeros((answer.shape[0], patch[0], *shape[1:]))
            total[(slice(None), slice(None), *window[1:])] += answer * weight
            weights[(slice(None), *window[1:])] += weight
    winners[first:], chances[first:] = _winners(total, weights, patch[0])
    return winners, chances


def _winners(total: Tensor, weights: Tensor, count: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Of the first ``count`` places along the first axis."""
    logits = total[:, :count] / weights[:count]
    largest, winner = logits.max(dim=0)
    return winner.to(torch.uint8).numpy(), (largest - logits.logsumexp(dim=0)).exp().numpy()


def _moved(slab: Tensor, by: int, axis: int) -> Tensor:
    """Without its first ``by`` places along ``axis``, and as many empty ones after the others."""
    held = slab.narrow(axis, by, slab.shape[axis] - by)
    return torch.cat([held, torch.zeros_like(slab.narrow(axis, 0, by))], dim=axis)


def _mirrored(network: Callable[[Tensor], Tensor], x: Tensor, axes: Sequence[int]) -> Tensor:
    ways = [way for count in range(len(axes) + 1) for way in combinations([axis + 2 for axis in axes], count)]
    total = network(x)
    for way in ways[1:]:
        total = total + network(x.flip(way)).flip(way)
    return total / len(ways)


def _windows(shape: Sequence[int], patch: Sequence[int], share: float) -> Iterator[tuple[slice, ...]]:
    starts = []
    for full, wide in zip(shape, patch, strict=True):
        count = ceil((full - wide) / (wide * share)) + 1
        step = (full - wide) / max(1, count - 1)
        starts.append([int(np.round(step * place)) for place in range(count)])
    return (tuple(slice(low, low + wide) for low, wide in zip(corner, patch, strict=True)) for corner in product(*starts))


@lru_cache(maxsize=4)
def _gaussian(patch: tuple[int, ...]) -> Tensor:
    from scipy.ndimage import gaussian_filter

    peak = np.zeros(patch)
    peak[tuple(n // 2 for n in patch)] = 1
    weight = gaussian_filter(peak, [n * _SIGMA for n in patch], mode="constant")
    weight = torch.from_numpy(weight * _HIGHEST / weight.max()).half().float()  # nnU-Net keeps it in half precision
    return weight.clamp_min(float(weight[weight > 0].min()))
