"""How noisy a CT scan is, in Hounsfield units."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from casewise.applications.measurements.body_outline import CT
from casewise.applications.measurements.hounsfield import WINDOWED, body_of, in_hounsfield_units
from casewise.applications.measurements.measuring import Floats, Mask, Measuring
from casewise.finding import Finding
from casewise.image import Image

_SOFT_HU = (0.0, 100.0)  # as in the paper
_WINDOW_MM = 7.0
_BIN_HU = 0.5
_LEAST_HU = 1.0  # less noise than any scanner has
_PLANES = 40
_LEAST = 500  # pixels of soft tissue in a plane


class CtNoise(Measuring):
    """The global noise level of CT (Christianson 2015, AJR 205:W93): the commonest standard deviation of soft tissue.

    The standard deviation is taken in a window of 7 mm around each pixel between 0 and 100 HU within the body; texture is in it, so
    that it is an upper bound of the noise in tissue that is not uniform. It depends on slice thickness and kernel: compare scans
    of one protocol.
    """

    name = "ct-noise"
    categories = CT
    what = "CT of head, chest or abdomen in Hounsfield units"

    def measured(self, image: Image, folder: Path | None) -> list[Finding]:
        """One finding, ``noise``: the median over at most forty planes of each plane's noise."""
        if not in_hounsfield_units(image):
            raise self.refusal(WINDOWED)
        if not image.header.spacing_known:
            raise self.refusal("the size of a pixel is not known; give a file that states it")
        body = body_of(image)
        step = min(step for axis, step in enumerate(image.spacing) if axis != body.axis)
        if step > _WINDOW_MM / 3:
            raise self.refusal(f"pixels of {step:.1f} mm are too coarse for a window of {_WINDOW_MM:.0f} mm; give the original CT")
        planes = list(body.planes())
        found = [
            noise
            for index, plane in planes[:: len(planes) // _PLANES + 1]
            if (noise := _noise(image.array[0][index].astype(np.float32), plane, step)) is not None
        ]
        if not found:
            raise self.refusal("there is too little soft tissue (0 to 100 HU) in this scan; give one of the body")
        noise = float(np.median(found))
        if noise < _LEAST_HU:
            raise self.refusal(
                "its soft tissue has hardly any texture, as after lossy compression or smoothing; give the original CT"
            )
        return [self.finding("noise", {"noise_hu": noise})]


def _noise(values: Floats, body: Mask, step: float) -> float | None:
    size = max(3, round(_WINDOW_MM / step) | 1)
    soft = body & (values >= _SOFT_HU[0]) & (values <= _SOFT_HU[1])
    kept = np.clip(values, -200, 300).astype(np.float64)
    mean = ndimage.uniform_filter(kept, size)
    deviation = np.sqrt(np.clip(ndimage.uniform_filter(kept**2, size) - mean**2, 0, None))[soft]
    if deviation.size < _LEAST:
        return None
    counts, edges = np.histogram(deviation, np.arange(0, 100 + _BIN_HU, _BIN_HU))
    smooth = ndimage.uniform_filter1d(counts.astype(float), 5)
    return float(edges[int(np.argmax(smooth))] + _BIN_HU / 2)
