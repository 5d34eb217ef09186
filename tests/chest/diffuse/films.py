"""Upright films of two lungs that somebody drew."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from casewise.chest.region import LEFT_LUNG, RIGHT_LUNG

SHAPE = (420, 400)
Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def lung_masks(height: int = 320, width: int = 130, gap: int = 50) -> dict[str, Mask]:
    """Two ellipses beside the middle; ``right_lung`` lies on the picture's left."""
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    down = ((rows - SHAPE[0] / 2) / (height / 2)) ** 2
    middles = {RIGHT_LUNG: SHAPE[1] / 2 - (gap + width) / 2, LEFT_LUNG: SHAPE[1] / 2 + (gap + width) / 2}
    return {name: down + ((columns - middle) / (width / 2)) ** 2 <= 1 for name, middle in middles.items()}


def plane_of(masks: dict[str, Mask], seed: int = 0) -> Floats:
    """Dark lungs with some texture in bright surroundings."""
    rng = np.random.default_rng(seed)
    plane = np.full(SHAPE, 200, np.float32) + rng.normal(0, 2, SHAPE).astype(np.float32)
    plane[np.logical_or.reduce(list(masks.values()))] -= 120
    return plane


def with_blob(plane: Floats, row: int, column: int, reach: int = 14) -> Floats:
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    return np.where((rows - row) ** 2 + (columns - column) ** 2 <= reach**2, plane + 100, plane).astype(np.float32)
