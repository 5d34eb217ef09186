"""How unevenly bright an MR image is from one side to the other: intensity non-uniformity."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from casewise.applications.measurements.measuring import Floats, Measuring
from casewise.applications.measurements.mr_noise import MR, WINDOWED, planes_of
from casewise.finding import Finding
from casewise.image import Image

_EDGE = 128  # pixels along an edge at which the surface is fitted
_PLANES = 9
_LEAST = 0.03  # of a plane that is foreground
_GROUND = 0.15  # of the bright: what is darker may be noise of the air
_APART = 2.5  # deviations from the surface beyond which a pixel is another tissue, and left out of the second fit


class MrShading(Measuring):
    """Intensity non-uniformity of an MR image: how much a smooth surface through its foreground's brightness varies in a plane.

    The surface is a polynomial of second order, fitted to the logarithm of the values (Meyer 1995, IEEE TMI 14:398), twice, the
    second time without what lies far from the first. Where tissue itself changes smoothly from one side to the other, that counts
    too: compare images of one kind. The foreground is what is above half of
    Otsu's threshold (1979) and 15 % of the brightest.
    """

    name = "mr-shading"
    categories = MR
    what = "MR images with their own values"

    def measured(self, image: Image, folder: Path | None) -> list[Finding]:
        """One finding, ``non-uniformity``: the surface's coefficient of variation in the foreground, and its 95th percentile over
        the 5th; of a volume the median over nine planes across its longest voxels.
        """
        if image.channels != 1 or image.array.dtype == np.uint8:
            raise self.refusal(WINDOWED)
        found = [figures for plane in planes_of(image, _PLANES, 0.25) if (figures := _figures(plane)) is not None]
        if not found:
            raise self.refusal("hardly anything in this image stands out from the ground; give one of a body")
        variation, ratio = np.median(found, axis=0)
        measures = {"non_uniformity_percent": 100 * float(variation), "brightest_over_darkest": float(ratio)}
        return [self.finding("non-uniformity", measures)]


def _figures(plane: Floats) -> tuple[float, float] | None:
    """(coefficient of variation of the surface in the foreground, its 95th percentile over its 5th); None without a foreground."""
    from skimage.filters import threshold_otsu

    small = plane[:: max(1, plane.shape[0] // _EDGE), :: max(1, plane.shape[1] // _EDGE)]
    bright = float(np.percentile(small, 99.5))
    if small.min() == small.max() or bright <= 0:
        return None
    foreground = small > max(threshold_otsu(np.minimum(small, bright)) / 2, _GROUND * bright)
    if foreground.mean() < _LEAST:
        return None
    values = np.log(small[foreground].astype(np.float64))
    terms = _terms(small.shape)[foreground]
    kept = np.ones(len(values), bool)
    for _ in range(2):
        surface = terms @ np.linalg.lstsq(terms[kept], values[kept], rcond=None)[0]
        apart = np.abs(values - surface)
        kept = apart <= max(_APART * float(np.median(apart)) / 0.6745, 1e-9)
    field = np.exp(surface - surface.mean())
    low, high = np.percentile(field, (5, 95))
    return float(field.std() / field.mean()), float(high / low)


def _terms(shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """(*shape, 6): the terms of a polynomial of second order in row and column, each from −1 to 1."""
    row, column = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    return np.stack([np.ones(shape), row, column, row * row, row * column, column * column], axis=-1)
