"""Which part of an ultrasound picture was insonated, and how deep the echoes reach."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from casewise.applications.measurements.measuring import Mask, Measuring
from casewise.applications.measures import size_of
from casewise.finding import Finding
from casewise.image import Box, Image
from casewise.intensity import grey

_DARK = 0.03  # of the range: what is not brighter is outside, or shows no echo
_CLOSED = 0.02  # of the longer edge: cysts and shadows that are narrower lie within
_LEAST = 0.15  # of the picture, that the field fills
_COLOURED = 40  # grey levels between the channels of a pixel from which it is coloured
_FADED = 0.25  # of the brightest depth's mean echo


class UltrasoundField(Measuring):
    """The insonated field of an ultrasound picture, how deep its echoes reach, and how much of it is covered by coloured marks.

    The field is the largest piece that is not black, with holes and dark bays filled. The penetration is the depth, as a share of
    the field's, down to which the mean echo of a line is at least a quarter of the brightest line's; depth runs from the picture's
    top, as devices display it. Callipers, text and Doppler boxes are coloured.
    """

    name = "ultrasound-field"
    categories = ("breast-ultrasound",)
    what = "ultrasound pictures of the breast"

    def measured(self, image: Image, folder: Path | None) -> list[Finding]:
        """One finding, ``insonated field``."""
        if image.spatial_dims != 2:
            raise self.refusal("it takes a picture, and this image is a volume; give one frame")
        plane = grey(image.array)
        low, high = np.percentile(plane, (0, 99.5))
        scaled = np.clip((plane - low) / max(float(high - low), 1e-6), 0, 1)
        field = _field(scaled > _DARK)
        if field.mean() < _LEAST:
            raise self.refusal("no insonated field was found in this picture; give an ultrasound picture")
        box = Box.around(field)
        if box is None:
            raise self.refusal("the picture is black; give an ultrasound picture")
        lines = np.where(field, scaled, 0).sum(axis=1) / np.maximum(field.sum(axis=1), 1)
        smooth = ndimage.uniform_filter1d(lines[box.slices[0]], max(3, box.shape[0] // 20))
        reach = 1 + int(np.flatnonzero(smooth >= _FADED * smooth.max())[-1])
        unit = "mm" if image.header.spacing_known else "px"
        step = image.spacing[0] if image.header.spacing_known else 1.0
        measures = size_of(field, image) | {
            "field_percent": 100 * float(field.mean()),
            f"depth_{unit}": box.shape[0] * step,
            "penetration_percent": 100 * reach / box.shape[0],
        }
        if image.channels == 3:
            spread = np.ptp(image.array.astype(np.float32), axis=0)
            measures["coloured_percent"] = 100 * float((spread[field] >= _COLOURED).mean())
        return [self.finding("insonated field", measures, field, self.written("field", field, image, folder))]


def _field(bright: Mask) -> Mask:
    width = max(1, round(_CLOSED * max(bright.shape)))
    padded = np.pad(bright, width)
    closed = ndimage.binary_closing(padded, iterations=width)[width:-width, width:-width]
    pieces, count = ndimage.label(ndimage.binary_opening(closed, iterations=2))
    if not count:
        return np.zeros_like(bright)
    return np.asarray(ndimage.binary_fill_holes(pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))))
