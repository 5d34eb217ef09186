"""Probabilities from log-odds, bit for bit as the released models' thresholds were chosen with."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_FURTHEST = 80.0  # log-odds beyond which float32 would overflow


def logistic(odds: npt.ArrayLike) -> npt.NDArray[Any]:
    """1 / (1 + e^-odds), of the same shape and type.

    SciPy's ``expit`` differs in the last bit. It serves where a mask is all that comes of it; what is reported as a number is
    computed here, so that a model answers the same in every version.
    """
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -_FURTHEST, _FURTHEST))))
