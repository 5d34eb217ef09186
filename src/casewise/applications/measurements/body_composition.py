"""What the body in CT consists of, by its Hounsfield units alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from casewise.applications.measurements.body_outline import CT
from casewise.applications.measurements.hounsfield import WINDOWED, body_of, in_hounsfield_units
from casewise.applications.measurements.measuring import Measuring
from casewise.finding import Finding
from casewise.image import Image

# Half-open ranges of Hounsfield units. Fat and muscle as in Mitsiopoulos 1998 (J Appl Physiol 85:115) and Kvist 1988.
TISSUES = {
    "air_and_lung": (-np.inf, -400.0),
    "fat": (-190.0, -30.0),
    "soft_tissue": (-29.0, 150.0),
    "bone_or_contrast": (200.0, np.inf),
}


class BodyComposition(Measuring):
    """Shares of air and lung, fat, soft tissue and bone within the body's outline in CT, and its mean density.

    Thresholds, no organs: contrast medium, calcification and metal count as bone; muscle with much fat may count as neither; bowel
    gas counts with the lung. What lies between the ranges (partial volume) is in none of them, so that they do not sum to 100 %.
    """

    name = "body-composition"
    categories = CT
    what = "CT of head, chest or abdomen in Hounsfield units"

    def measured(self, image: Image, folder: Path | None) -> list[Finding]:
        """One finding, ``body composition``, of the whole scanned part."""
        if not in_hounsfield_units(image):
            raise self.refusal(WINDOWED)
        body = body_of(image)
        values = image.array[0][body.mask].astype(np.float32)
        if not values.size:
            raise self.refusal("there is no body in this image; give a scan of one")
        if body.cut:
            self.notes.append("The body runs out of the picture; what lies outside is not counted.")
        measures = {
            f"{name}_percent": 100 * float(((values >= low) & (values < high)).mean()) for name, (low, high) in TISSUES.items()
        }
        return [self.finding("body composition", {"mean_hu": float(values.mean(dtype=np.float64))} | measures)]
