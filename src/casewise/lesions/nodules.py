"""What surrounds a nodule of a chest radiograph, cut from the detector's segments, for a network that says of which kind it is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from casewise.case import Case
from casewise.errors import CasewiseError
from casewise.examination.normalisation import normalised
from casewise.header import Header
from casewise.image import Image
from casewise.lesions.examinations import labelled
from casewise.segments import Segment, Segments

RADIOGRAPH = "radiograph"
PLACES, PLACE_MM = 96, 0.7  # of the cut-out: 67 mm, in the detector's own places
_FEWEST = 2  # image pixels of a place, below which the radiograph shows too little


def surroundings(array: npt.NDArray[np.generic], segments: Segments, row: float, column: float, pixel_mm: float) -> Image:
    """(1, 96, 96) normalised, 67 mm around a place of a radiograph (1, rows, columns), cut from the segment it lies deepest in.

    row, column : in image pixels of ``pixel_mm``. What the segment does not show is its region's mean, as in the detector's input.
    The affine counts mm along (row, column) from the image's first pixel. Raises CasewiseError for a place in no segment and for
    pixels above 0.35 mm.
    """
    if pixel_mm * _FEWEST > PLACE_MM:
        raise CasewiseError(f"Pixels of {pixel_mm:.2f} mm are too large to classify a nodule; at most {PLACE_MM / _FEWEST} mm do.")
    showing = [own for own in segments if _depth(own, row, column) >= 0 and _shows(segments, own, row, column)]
    segment = max(showing, key=lambda own: _depth(own, row, column), default=None)
    if segment is None:
        raise CasewiseError(
            f"The place {row:.0f}, {column:.0f} lies in no segment of lungs or heart; only nodules in these are classified."
        )
    pixels = segments.pixels(array, segment)[0]
    step = PLACE_MM / pixel_mm
    # In the segment's own pixels, of which there are `scale` to each of the image's.
    centres = (np.arange(PLACES) - (PLACES - 1) / 2) * step
    rows, columns = (
        (place - low + centres) * scale for place, low, scale in zip((row, column), segment.box.lower, segment.scale, strict=True)
    )
    from scipy.ndimage import map_coordinates, uniform_filter

    smooth = uniform_filter(pixels, [max(1, round(step * scale)) for scale in segment.scale], mode="nearest")
    cut = map_coordinates(smooth, np.meshgrid(rows, columns, indexing="ij"), order=1, mode="nearest").astype(np.float32)
    affine = np.diag([PLACE_MM, PLACE_MM, 1.0, 1.0])
    affine[:2, 3] = (row + centres[0]) * pixel_mm, (column + centres[0]) * pixel_mm
    return Image(normalised(cut, RADIOGRAPH)[None], affine, Header(sequences=(RADIOGRAPH,), modality="DX"))


def labelled_nodule(picture: Image, diameter_mm: float, category: str, subject: str, site: str | None = None) -> Case:
    """A nodule to train on: a disc of its diameter in the middle of its :func:`surroundings`."""
    middle = (PLACES - 1) / 2
    rows, columns = np.ogrid[:PLACES, :PLACES]
    disc = np.hypot(rows - middle, columns - middle) <= max(1.5, diameter_mm / 2 / PLACE_MM)
    return labelled(picture, np.asarray(disc), category, subject, site)


def _shows(segments: Segments, segment: Segment, row: float, column: float) -> bool:
    inside = segments.inside(segment)
    place = tuple(min(int(p - low), n - 1) for p, low, n in zip((row, column), segment.box.lower, inside.shape, strict=True))
    return bool(inside[place])


def _depth(segment: Segment, row: float, column: float) -> float:
    """Pixels from a place to the nearest edge of a segment; below 0 outside."""
    edges = zip((row, column), segment.box.lower, segment.box.upper, strict=True)
    return min(min(place - low, high - 1 - place) for place, low, high in edges)
