"""Which part of a radiograph was exposed: collimators and padding leave margins that show nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from casewise.applications.measurements.measuring import Floats, Measuring
from casewise.applications.measures import size_of
from casewise.finding import Finding
from casewise.image import Box, Image
from casewise.intensity import grey, unit_range

_EVEN = 0.03  # the range of a line's values (5th to 95th percentile) below which it shows nothing
_LEAST = 0.05  # of each edge, that a field has


class ExposureField(Measuring):
    """The exposed field of a radiograph: the rectangle that is left when even lines at the picture's edges are taken away.

    A line is even where its 5th and 95th percentile differ by less than 3 % of the picture's range, so that a side marker in it is
    ignored. Collimators that were turned against the picture leave wedges, which stay in the field. Direct exposure beside the
    patient is even too: where it fills whole lines it cannot be distinguished from a collimated margin.
    """

    name = "exposure-field"
    categories = ("chest-xray", "hand-xray")
    what = "radiographs of chest or hand"

    def measured(self, image: Image, folder: Path | None) -> list[Finding]:
        """One finding, ``exposed field``, with its box."""
        if image.spatial_dims != 2:
            raise self.refusal("it takes a picture, and this image is a volume; give a radiograph")
        plane = unit_range(grey(image.array))
        box = field_of(plane)
        if box is None or any(edge < _LEAST * n for edge, n in zip(box.shape, plane.shape, strict=True)):
            raise self.refusal("hardly any line of this picture shows anything; give a radiograph")
        field = np.zeros(plane.shape, bool)
        field[box.slices] = True
        measures = size_of(field, image) | {"exposed_percent": 100 * float(field.mean())}
        return [self.finding("exposed field", measures, field, self.written("field", field, image, folder))]


def field_of(plane: Floats) -> Box | None:
    """Plane : (rows, columns), 0 to 1. None where every line is even."""
    rows = _uneven(plane, 1)
    if not rows.size:
        return None
    columns = _uneven(plane[rows[0] : rows[-1] + 1], 0)
    if not columns.size:
        return None
    return Box((int(rows[0]), int(columns[0])), (int(rows[-1]) + 1, int(columns[-1]) + 1))


def _uneven(plane: Floats, axis: int) -> npt.NDArray[np.intp]:
    low, high = np.percentile(plane, (5, 95), axis=axis)
    return np.flatnonzero(high - low > _EVEN)
