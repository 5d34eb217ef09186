"""The field of view of a fundus photograph: the lit disc, how much of the picture it fills and how evenly it is lit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from casewise.applications.measurements.measuring import Mask, Measuring
from casewise.errors import CasewiseError
from casewise.finding import Finding
from casewise.image import Image

CATEGORIES = ("fundus-photograph",)
WHAT = "colour photographs of the fundus"
_SIDE = 256  # pixels along the longer edge at which the disc is looked for
_DARK = 0.08  # of the brightest red: what is not brighter is outside of the field
_OFF = 0.03  # of the radius, that the disc's rim lies off a circle (root mean square)
_ARC = 0.35  # of the circle must be rim, and not cut off by the picture's edge
_LEAST, _MOST = 0.3, 0.97  # of the picture, that the field fills


@dataclass(frozen=True, eq=False)
class Field:
    """A disc: mask (rows, columns), its centre and radius in pixels, and how much of the circle lies in the picture."""

    mask: Mask
    centre: tuple[float, float]
    radius: float
    rim: float


class FundusField(Measuring):
    """The disc that a fundus camera lights: its diameter, the share of the picture, and how the brightness falls towards its rim.

    The rim is fitted by a circle (Kasa 1976). A picture is refused where the lit part is no disc on a dark ground, or is not redder
    than green and greener than blue, as every fundus in white light is. Sizes are in pixels: no camera's file says how large one is
    on the retina.
    """

    name = "fundus-field"
    categories = CATEGORIES
    what = WHAT

    def measured(self, image: Image, folder: Path | None) -> list[Finding]:
        """One finding, ``field of view``."""
        field = self.field(image)
        green = image.array[1].astype(np.float32)
        rows, columns = np.indices(field.mask.shape)
        distance = np.hypot(rows - field.centre[0], columns - field.centre[1]) / field.radius
        inner, outer = (green[field.mask & within].mean() for within in (distance < 0.5, distance > 0.75))
        measures = {
            "diameter_px": 2 * field.radius,
            "lit_percent": 100 * float(field.mask.mean()),
            "circle_in_picture_percent": 100 * field.rim,
            "rim_brightness_percent": 100 * float(outer / max(inner, 1e-6)),
        }
        return [self.finding("field of view", measures, field.mask, self.written("field", field.mask, image, folder))]

    def field(self, image: Image) -> Field:
        """Raises NotMeasuredError for a picture that is no fundus in white light."""
        try:
            return field_of(image)
        except CasewiseError as error:
            raise self.refusal(str(error)) from error


def field_of(image: Image) -> Field:
    """The lit disc of a colour photograph. Raises CasewiseError, a clause, where there is none."""
    if image.spatial_dims != 2 or image.channels != 3:
        raise CasewiseError("it takes colour pictures (red, green, blue), and this image is none; give a photograph in colour")
    red = image.array[0].astype(np.float32)
    factor = max(1, max(red.shape) // _SIDE)
    small = ndimage.median_filter(red[::factor, ::factor], 5)
    lit = _largest(small > _DARK * float(np.percentile(small, 99)) + small.min())
    if not _LEAST <= lit.mean() <= _MOST:
        raise CasewiseError("there is no lit disc on a dark ground; give a photograph with the rim of its field")
    centre, radius, off, arc = _circle(lit)
    if off > _OFF or arc < _ARC:
        raise CasewiseError("the lit part is no disc; give a photograph of the fundus with the rim of its field")
    rows, columns = np.indices(red.shape)
    place = (centre + 0.5) * factor - 0.5
    inside = np.hypot(rows - place[0], columns - place[1]) <= radius * factor
    mask = ndimage.zoom(lit.astype(np.uint8), np.array(red.shape) / lit.shape, order=0).astype(bool) & inside
    means = [float(channel[mask].mean()) for channel in image.array]
    if not means[0] > means[1] > means[2]:
        raise CasewiseError("its colours are not those of a fundus in white light, red before green before blue; give such a one")
    return Field(mask, (float(place[0]), float(place[1])), radius * factor, arc)


def _largest(mask: Mask) -> Mask:
    pieces, count = ndimage.label(mask)
    if not count:
        return mask
    return np.asarray(ndimage.binary_fill_holes(pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))))


def _circle(lit: Mask) -> tuple[npt.NDArray[np.float64], float, float, float]:
    """(centre, radius, distance of the rim from the circle as a share of the radius, share of the circle that is rim)."""
    rim = lit & ~ndimage.binary_erosion(lit, border_value=1)
    points = np.argwhere(rim).astype(np.float64)
    if len(points) < 20:
        return np.zeros(2), 1.0, np.inf, 0.0
    kept = points
    for _ in range(2):
        terms = np.column_stack([2 * kept, np.ones(len(kept))])
        solved = np.linalg.lstsq(terms, (kept**2).sum(axis=1), rcond=None)[0]
        centre, radius = solved[:2], float(np.sqrt(max(solved[2] + (solved[:2] ** 2).sum(), 1e-6)))
        apart = np.abs(np.linalg.norm(points - centre, axis=1) - radius)
        kept = points[apart <= max(2.0, 3 * float(np.median(apart)))]  # a notch that marks the side is no rim
    angles = np.arctan2(*(kept - centre).T)
    arc = len(np.unique(np.round(angles / (2 * np.pi) * 72))) / 72
    off = float(np.sqrt(np.mean((np.linalg.norm(kept - centre, axis=1) - radius) ** 2))) / radius
    return centre, radius, off if len(kept) > 0.6 * len(points) else np.inf, min(1.0, arc)
