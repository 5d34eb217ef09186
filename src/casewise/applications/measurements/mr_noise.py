"""The signal-to-noise ratio of an MR image, from the air around the body."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from casewise.applications.measurements.measuring import Floats, Mask, Measuring
from casewise.finding import Finding
from casewise.image import Image

MR = ("brain-mr", "breast-mr", "cardiac-mr", "prostate-mr")
WINDOWED = "the grey levels of a picture are windowed; give the MR image with its own values, as DICOM or NIfTI"
# Of the magnitude of complex noise (Rayleigh 1880): deviation and mean, in the noise's own deviation.
_DEVIATION, _MEAN = 0.655, 1.253
_RATIO = _MEAN / _DEVIATION  # 1.91
_RATIO_APART = 0.25
_PLANES = 24
_LEAST_PLANES = 0.25  # of them must have a corner of air: a single one may look so by chance
_LEAST_PIXELS = 100
_DISTINCT = 8  # values that noise has at least
_CORNER = 8  # a corner is so great a part of each edge


class MrNoise(Measuring):
    """Signal-to-noise ratio of a magnitude MR image: mean signal over the noise's standard deviation.

    The noise is measured in the corners, in air, where the magnitude follows Rayleigh's distribution: its deviation is 0.655 of the
    noise's (Henkelman 1985, Med Phys 12:232; NEMA MS 1, method 4). Where mean over deviation in a corner is not Rayleigh's 1.91,
    the corner is no air, or the image was filtered, zeroed, interpolated or combined from coils; then nothing is measured. With
    parallel imaging noise differs from place to place: the ratio holds for the corners.
    """

    name = "mr-noise"
    categories = MR
    what = "MR images with their own values"

    def measured(self, image: Image, folder: Path | None) -> list[Finding]:
        """One finding, ``signal to noise``; of a volume the median over at most 24 planes across its longest voxels."""
        if image.channels != 1 or image.array.dtype == np.uint8:
            raise self.refusal(WINDOWED)
        planes = planes_of(image, _PLANES, 0.1)
        found = [pair for plane in planes if (pair := _signal_and_noise(plane)) is not None]
        if len(found) < max(1.0, _LEAST_PLANES * len(planes)):
            raise self.refusal(
                "too few corners hold noise as air has it (mean over deviation 1.91): the ground was zeroed or filtered; "
                "give the image as it was reconstructed"
            )
        signal, noise = np.median(found, axis=0)
        return [
            self.finding("signal to noise", {"signal_to_noise_ratio": float(signal / noise), "planes_measured": float(len(found))})
        ]


def across_of(image: Image) -> int:
    """The axis of a volume along which its voxels are longest; the third where they are of one size."""
    return int(np.argmax(image.spacing)) if len(set(np.round(image.spacing, 2))) > 1 else 2


def planes_of(image: Image, count: int, end: float) -> list[Floats]:
    """(row, column) of a picture, or ``count`` planes of a volume, passing over the share ``end`` of them at either side."""
    values = image.array[0]
    if values.ndim == 2:
        return [values.astype(np.float32)]
    axis = across_of(image)
    places = np.linspace(end, 1 - end, count) * (values.shape[axis] - 1)
    return [np.take(values, place, axis=axis).astype(np.float32) for place in sorted({round(place) for place in places})]


def _signal_and_noise(plane: Floats) -> tuple[float, float] | None:
    """(mean of the foreground, deviation of the noise); None where no corner is air."""
    from skimage.filters import threshold_otsu

    if plane.min() == plane.max():
        return None
    body = plane > threshold_otsu(plane)
    near: Mask = ndimage.binary_dilation(body, iterations=max(2, min(plane.shape) // 40))
    deviations = [deviation for corner in _corners(plane, near) if (deviation := _rayleigh(corner)) is not None]
    return (float(plane[body].mean()), float(np.median(deviations))) if deviations else None


def _corners(plane: Floats, near: Mask) -> list[Floats]:
    rows, columns = (max(6, n // _CORNER) for n in plane.shape)
    # The outermost lines are often empty.
    sides = [(slice(2, 2 + rows), slice(-2 - rows, -2)), (slice(2, 2 + columns), slice(-2 - columns, -2))]
    return [plane[row, column] for row in sides[0] for column in sides[1] if not near[row, column].any()]


def _rayleigh(corner: Floats) -> float | None:
    """The noise's deviation; None where the values are not distributed as Rayleigh's."""
    values = corner.ravel()
    if values.size < _LEAST_PIXELS or np.unique(values).size < _DISTINCT or values.min() < 0:
        return None
    deviation = float(values.std())
    return deviation / _DEVIATION if abs(float(values.mean()) / deviation - _RATIO) <= _RATIO_APART else None
