"""The regions of a frontal chest radiograph that segments are cut from, and how large its pixels are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from casewise.image import Box, Image
from casewise.orientation import size_stated
from casewise.segments import Segments, segments

PIXEL_MM = 0.175  # of the films of 2048 pixels that the detector learnt from
LUNGS_MM = 280.0  # both lungs from apex to base in the films that the detector learnt from: mean of 45 adults, deviation 30
FILM_MM = 430.0  # the longer side of the largest film in use, 35 × 43 cm, and of the largest flat detectors
MARGIN_MM = 8.0  # nodules at a lung's edge reach beyond its mask
OVERLAP_MM = 37.0  # 95th percentile of the diameters of JSRT's nodules
Masks = dict[str, npt.NDArray[np.bool_]]


def pixel_mm(image: Image, regions: Masks) -> float:
    """From the image's spacing; where its file has none, from the height of the lungs, but never more than the largest film allows:
    lungs are lower in children, and where somebody has not breathed in.
    """
    if size_stated(image) and all(0.05 <= step <= 2 for step in image.spacing):
        return float(np.mean(image.spacing))
    lungs = [Box.around(mask) for name, mask in regions.items() if name.endswith("lung")]
    boxes = [box for box in lungs if box is not None]
    height = max(box.upper[0] for box in boxes) - min(box.lower[0] for box in boxes)
    return float(min(LUNGS_MM / height, FILM_MM / max(next(iter(regions.values())).shape)))


def chest_segments(
    regions: Masks, millimetres: float, irregularities: tuple[Box, ...] = (), overlap_mm: float = OVERLAP_MM
) -> Segments:
    """Segments of both lungs and the heart in the image's own pixels, with the margin and the overlap that the detector was trained
    with; of other irregularities than nodules ``overlap_mm`` is the 95th percentile of the diameters.
    """
    shape = next(iter(regions.values())).shape
    return segments(
        regions,
        shape,
        least_overlap=round(overlap_mm / millimetres),
        margin=round(MARGIN_MM / millimetres),
        irregularities=irregularities,
    )
