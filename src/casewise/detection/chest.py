"""The regions of a frontal chest radiograph that segments are cut from, and how large its pixels are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from casewise.anatomy import Segments, segments
from casewise.detection.views import PIXEL_MM
from casewise.image import Box, Image

LUNGS_MM = 280.0  # both lungs from apex to base in the films that the detector learnt from: mean of 45 adults, deviation 30
MARGIN_MM = 8.0  # nodules at a lung's edge reach beyond its mask
OVERLAP_MM = 37.0  # 95th percentile of the diameters of JSRT's nodules
_TOLERANCE = 1.25
Masks = dict[str, npt.NDArray[np.bool_]]


def pixel_mm(image: Image, regions: Masks) -> float:
    """From the image's spacing; where its file has none, from the height of the lungs."""
    if image.header.get("spacing_known", True) and all(0.05 <= step <= 2 for step in image.spacing):
        return float(np.mean(image.spacing))
    lungs = [Box.around(mask) for name, mask in regions.items() if name.endswith("lung")]
    boxes = [box for box in lungs if box is not None]
    height = max(box.upper[0] for box in boxes) - min(box.lower[0] for box in boxes)
    return LUNGS_MM / height


def chest_segments(regions: Masks, millimetres: float, irregularities: tuple[Box, ...] = ()) -> Segments:
    """Segments of both lungs and the heart, with the margin and the overlap that the detector was trained with.

    Pixels up to a quarter larger or smaller than those that the detector learnt from are left as they are; smaller ones are reduced
    towards them, never below 0.8 of the image's resolution.
    """
    shape = next(iter(regions.values())).shape
    scale = 1.0 if millimetres * _TOLERANCE >= PIXEL_MM else max(0.8, millimetres / PIXEL_MM)
    return segments(
        regions,
        shape,
        least_overlap=round(OVERLAP_MM / millimetres),
        margin=round(MARGIN_MM / millimetres),
        scale=scale,
        irregularities=irregularities,
    )
