"""How large the body is in CT: its cross-section, and the diameters by which dose is corrected for a patient's size."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from casewise.applications.measurements.hounsfield import WINDOWED, Body, body_of, in_hounsfield_units
from casewise.applications.measurements.measuring import Measuring
from casewise.applications.measures import size_of
from casewise.finding import Finding
from casewise.image import Image

CT = ("abdomen-ct", "chest-ct", "head-ct")


class BodyOutline(Measuring):
    """The outline of the body in axial CT, and its size: what is above −400 HU and one piece in its plane, holes filled.

    The effective diameter is that of a disc as large (AAPM Report 204, 2011), the water-equivalent one that of a disc of water that
    absorbs as much (AAPM Report 220, 2014). Arms beside the trunk count only where they touch it. Windowed pictures are refused:
    what they show of the body depends on the window.
    """

    name = "body-outline"
    categories = CT
    what = "axial CT of head, chest or abdomen in Hounsfield units"

    def measured(self, image: Image, folder: Path | None) -> list[Finding]:
        """One finding, ``body``: of a volume its volume, and the means over its planes of the diameters."""
        if not in_hounsfield_units(image):
            raise self.refusal(WINDOWED)
        body = body_of(image)
        count = sum(1 for _ in body.planes())
        if not count:
            raise self.refusal("there is no body in this image; give an axial scan of one")
        if body.cut:
            self.notes.append(f"The body runs out of the picture in {body.cut} of {count} planes; its size there is too small.")
        measures = size_of(body.mask, image) | _diameters(image, body)
        return [self.finding("body", measures, body.mask, self.written("body", body.mask, image, folder))]


def _diameters(image: Image, body: Body) -> dict[str, float]:
    steps = [step for number, step in enumerate(image.spacing) if number != body.axis]
    known = image.header.spacing_known
    effective, equivalent = [], []
    for index, plane in body.planes():
        area = float(plane.sum()) * (steps[0] * steps[1] if known else 1.0)
        effective.append(2 * np.sqrt(area / np.pi))
        # The linear attenuation against that of water: 0 for air, 1 for water.
        relative = max(0.0, float(image.array[0][index][plane].mean(dtype=np.float64)) / 1000 + 1)
        equivalent.append(2 * np.sqrt(relative * area / np.pi))
    unit = "mm" if known else "px"
    return {
        f"effective_diameter_{unit}": float(np.mean(effective)),
        f"water_equivalent_diameter_{unit}": float(np.mean(equivalent)),
    }
