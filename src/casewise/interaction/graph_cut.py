"""The graph cut of image-specific fine-tuning: the labels of least energy, by max-flow, with the strokes kept as they are.

Energy Σ −log P(y) + λ Σ [y_i ≠ y_j] exp(−ΔI² / 2σ²) / d_ij (Wang et al. 2018, arXiv 1710.04043).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_SCALE = 1000  # SciPy's max-flow counts in whole numbers
_CERTAIN = 10**8


def least_energy(
    image: Floats,
    probability: Floats,
    foreground: Mask,
    background: Mask,
    spacing: Sequence[float] | None = None,
    *,
    smoothness: float = 3.0,
    sigma: float = 0.1,
) -> Mask:
    """(*grid) bool: the labels of least energy, neighbours being those that touch by a face or, in the plane, by a corner.

    image : (C, *grid), 0…1. probability : (*grid) of the object. foreground, background : strokes, always obeyed.
    smoothness : λ. sigma : σ, in units of the image's range.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow

    chances = np.clip(probability.ravel().astype(np.float64), 1e-4, 1 - 1e-4)
    lengths = [float(s) / min(spacing) for s in spacing] if spacing is not None else [1.0] * probability.ndim
    starts, ends, weights = _neighbours(image, lengths, smoothness, sigma)
    count = probability.size
    source, sink = count, count + 1
    voxels = np.arange(count)
    # Cutting a voxel from the source makes it background and costs −log(1 − p), and from the sink the other way about.
    to_object = np.round(-np.log(1 - chances) * _SCALE).astype(np.int64)
    to_ground = np.round(-np.log(chances) * _SCALE).astype(np.int64)
    to_object[foreground.ravel()], to_ground[foreground.ravel()] = _CERTAIN, 0
    to_object[background.ravel()], to_ground[background.ravel()] = 0, _CERTAIN
    common = np.minimum(to_object, to_ground)  # what flows straight through changes nothing
    to_object, to_ground = to_object - common, to_ground - common
    first, last = to_object > 0, to_ground > 0
    rows = np.concatenate([starts, ends, np.full(first.sum(), source), voxels[last]])
    columns = np.concatenate([ends, starts, voxels[first], np.full(last.sum(), sink)])
    flows = np.concatenate([weights, weights, to_object[first], to_ground[last]]).astype(np.int32)
    graph = coo_matrix((flows, (rows, columns)), shape=(count + 2, count + 2)).tocsr()
    flow = maximum_flow(graph, source, sink, method="dinic").flow
    left = graph - flow
    left.data[left.data < 0] = 0
    left.eliminate_zeros()
    reached = breadth_first_order(left, source, return_predecessors=False)
    found = np.zeros(count + 2, bool)
    found[reached] = True
    mask: Mask = found[:count].reshape(probability.shape)
    return mask


def _neighbours(
    image: Floats, lengths: list[float], smoothness: float, sigma: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(start, end, whole-number weight) of every pair of neighbours, once."""
    shape = image.shape[1:]
    numbers = np.arange(int(np.prod(shape))).reshape(shape)
    starts, ends, weights = [], [], []
    for shift in product((0, 1), (-1, 0, 1), *([(0, 1)] if len(shape) == 3 else [])):
        if shift <= (0,) * len(shape) or sum(map(abs, shift)) > 2 or (len(shape) == 3 and shift[2] and any(shift[:2])):
            continue
        here = tuple(slice(max(0, -s), n - max(0, s)) for s, n in zip(shift, shape, strict=True))
        there = tuple(slice(max(0, s), n - max(0, -s)) for s, n in zip(shift, shape, strict=True))
        change = ((image[(slice(None), *here)] - image[(slice(None), *there)]) ** 2).mean(axis=0)
        distance = float(np.sqrt(sum((s * length) ** 2 for s, length in zip(shift, lengths, strict=True))))
        weight = smoothness * np.exp(-change / (2 * sigma**2)) / distance
        starts.append(numbers[here].ravel())
        ends.append(numbers[there].ravel())
        weights.append(np.round(weight.ravel() * _SCALE).astype(np.int64))
    return np.concatenate(starts), np.concatenate(ends), np.concatenate(weights)
