"""Planes at the size of pixels that a detector learnt from: by how much they are enlarged, their values, masks and boxes."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from casewise.image import Box
from casewise.segments import LEAST_SCALE

Kind = TypeVar("Kind", bound=np.generic)
_EXACT = 1e-9  # of a pixel: so near to a border is on it


def enlargement(wanted: float, most: float = inf) -> float:
    """Of a plane. wanted : how many times as large its pixels are as those that the detector learnt from.

    None (1) from 0.8 (:data:`casewise.segments.LEAST_SCALE`) to 1.25; else ``wanted``, at least 0.8 and at most ``most``.
    """
    return 1.0 if LEAST_SCALE <= wanted <= 1 / LEAST_SCALE else min(max(wanted, LEAST_SCALE), most)


def resampled(plane: npt.NDArray[Any], factor: float) -> npt.NDArray[np.float32]:
    """float32, ``factor`` times as many rows and columns as the plane, linear between pixels' centres."""
    own = np.ascontiguousarray(plane, np.float32)
    if factor == 1:
        return own
    shape = [max(1, round(n * factor)) for n in own.shape]
    enlarged = functional.interpolate(torch.from_numpy(own)[None, None], size=shape, mode="bilinear", align_corners=False)
    return np.asarray(enlarged[0, 0].numpy())


def nearest(values: npt.NDArray[Kind], shape: Sequence[int]) -> npt.NDArray[Kind]:
    """``values`` (rows, columns) on a grid of ``shape`` over the same plane, each from the nearest."""
    if values.shape == tuple(shape):
        return values
    places = (np.minimum(((np.arange(n) + 0.5) * m / n).astype(int), m - 1) for n, m in zip(shape, values.shape, strict=True))
    return np.ascontiguousarray(values[np.ix_(*places)])


def rescaled(box: Box, factor: float, shape: Sequence[int]) -> Box:
    """A plane's box on a grid of ``shape`` with ``factor`` times its rows and columns: widened to whole pixels, within the grid."""
    lower = tuple(min(int(n * factor + _EXACT), m - 1) for n, m in zip(box.lower, shape, strict=True))
    upper = (min(int(np.ceil(n * factor - _EXACT)), m) for n, m in zip(box.upper, shape, strict=True))
    return Box(lower, tuple(max(low + 1, high) for low, high in zip(lower, upper, strict=True)))
