"""How densely vessels run in a fundus photograph, by a ridge filter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from casewise.applications.measurements.fundus_field import CATEGORIES, WHAT, Field, FundusField
from casewise.applications.measurements.measuring import Floats, Mask
from casewise.finding import Finding
from casewise.image import Image

_DIAMETER = 520  # pixels of the field at which ridges are looked for
_WIDTHS = (1.2, 1.8, 2.6, 3.6)  # deviations of the ridges, in these pixels
_HIGH, _LOW = (
    2.5,
    1.4,
)  # thresholds of the ridges, in robust deviations: a vessel begins above the first and goes on above the second
_EVEN = 0.008  # of the ground's brightness: even ground has less texture, and no vessel is so faint
_LEAST = 60  # pixels of a piece
_RIM = 0.03  # of the radius that is left out: the rim is a ridge itself


class RetinalVessels(FundusField):
    """Vessels of the retina: the share of the field that they cover, and their length.

    Dark ridges of the green channel at four widths (Sato 1998, Med Image Anal 2:143), in the field brought to a diameter of 520
    pixels, cut by two thresholds (hysteresis, Canny 1986). How well it agrees with vessels traced by hand stands in
    ``benchmarks/results/classical_measures.md``. Fine vessels, and vessels over bleeding or in the shade, are missed; the rims of
    bright lesions and the disc's edge may be taken for vessels.
    """

    name = "retinal-vessels"
    categories = CATEGORIES
    what = WHAT

    def measured(self, image: Image, folder: Path | None) -> list[Finding]:
        """One finding, ``vessels``: the density, and the length in diameters of the field."""
        field = self.field(image)
        small, inside, factor = reduced(image, field)
        if factor < 0.5:
            self.notes.append("The photograph is coarse: vessels that are one pixel wide are missed.")
        vessels = vessels_of(small, inside)
        from skimage.morphology import skeletonize

        length = float(skeletonize(vessels).sum())
        share = float(vessels[inside].mean())
        measures = {"density_percent": 100 * share, "length_over_diameter": length / _DIAMETER}
        zoom = np.array(image.spatial_shape) / np.array(vessels.shape)
        full = ndimage.zoom(vessels.astype(np.float32), zoom, order=1) > 0.5
        return [self.finding("vessels", measures, full, self.written("vessels", full, image, folder))]


def reduced(image: Image, field: Field) -> tuple[Floats, Mask, float]:
    """(green channel, field without its rim, factor) at the size at which ridges are looked for."""
    factor = _DIAMETER / (2 * field.radius)
    green = image.array[1].astype(np.float32)
    if factor < 1:
        green = ndimage.gaussian_filter(green, 0.4 / factor)
    small = ndimage.zoom(green, factor, order=1)
    rows, columns = np.indices(small.shape)
    middle = [(place + 0.5) * factor - 0.5 for place in field.centre]
    near = np.hypot(rows - middle[0], columns - middle[1]) <= field.radius * factor * (1 - _RIM)
    mask = ndimage.zoom(field.mask.astype(np.float32), factor, order=1) > 0.5
    return small, near & mask, factor


def vessels_of(green: Floats, inside: Mask) -> Mask:
    """green, inside : (rows, columns) of a field of 520 pixels' diameter."""
    from skimage.filters import apply_hysteresis_threshold
    from skimage.morphology import remove_small_objects

    ridges = ridges_of(green, inside)
    vessels = apply_hysteresis_threshold(ridges, _LOW, _HIGH) & inside
    return np.asarray(remove_small_objects(vessels, max_size=_LEAST))


def ridges_of(green: Floats, inside: Mask) -> Floats:
    """The response of the filter in robust deviations of what is inside, 0 outside."""
    from skimage.filters import sato

    weights = ndimage.gaussian_filter(inside.astype(np.float32), 15) + 1e-6
    ground = ndimage.gaussian_filter(np.where(inside, green, 0), 15) / weights
    # Beyond the rim goes on what is beside it, so that the rim is no ridge.
    level = np.where(inside, green / np.maximum(ground, 1e-6), 1.0)
    ridges = np.asarray(sato(level, sigmas=_WIDTHS, black_ridges=True), np.float32)
    spread = max(float(np.percentile(ridges[inside], 80)), _EVEN)
    return np.where(inside, ridges / spread, 0)
