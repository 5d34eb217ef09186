"""Distances between the borders of two masks, by MONAI."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
import torch

Mask = npt.NDArray[np.bool_]


def surface_distances(first: Mask, second: Mask, spacing: tuple[float, ...] | None = None) -> npt.NDArray[np.float32]:
    """(n,) from each voxel of either border to the nearest of the other's, in the unit of ``spacing``; infinite if one is empty."""
    with warnings.catch_warnings():  # MONAI's own code uses what it deprecates
        warnings.simplefilter("ignore")
        from monai.metrics.utils import get_edge_surface_distance

        masks = torch.from_numpy(np.ascontiguousarray(first)), torch.from_numpy(np.ascontiguousarray(second))
        _, both, _ = get_edge_surface_distance(*masks, spacing=spacing, symmetric=True, warn_empty=False)
    return np.concatenate([distances.numpy() for distances in both])
