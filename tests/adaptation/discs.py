"""Pictures of one disc, the least that can be segmented."""

from __future__ import annotations

import numpy as np

from casewise.case import Structure
from casewise.image import Image

DISC = Structure.parse("disc")


def disc(seed: int, dark: bool) -> tuple[Image, np.ndarray]:
    """A noisy picture (1, 32, 32) with a disc that is brighter, or darker, than what surrounds it; and its mask."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:32, :32]
    centre, radius = rng.uniform(11, 21, 2), rng.uniform(5, 9)
    mask = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < radius**2
    picture = np.where(mask, 60.0, 180.0) if dark else np.where(mask, 180.0, 60.0)
    picture += rng.normal(0, 8, picture.shape)
    header = {"modality": "MR" if dark else "CT", "spacing_known": False}
    return Image(picture[None].clip(0, 255).astype(np.uint8), header=header), mask
