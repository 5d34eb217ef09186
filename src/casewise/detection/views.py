"""What the detector sees of a radiograph: each segment's pixels with local contrast evened out, and the whole image reduced.

Local mean and deviation are taken out within what a segment shows, so that nodules behind a rib and in clear lung, and films of
different exposure, look alike (as Hardie 2008 does before filtering).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from casewise.anatomy import Segment, Segments

PIXEL_MM = 0.175  # of the films that the detector learnt from
COARSE = 4  # coarse pixels, for what needs no fine ones: 0.7 mm
FIELD_MM = 12.0  # standard deviation of the Gaussian neighbourhood that contrast is measured in
CONTEXT = 128  # pixels of the longer side of the whole image, reduced
_RANGE = 3.0  # deviations that still differ in what the network sees
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class View:
    """A segment as the detector sees it.

    pixels : (rows, columns) float32, 0 to 1, local mean at 0.5; what the segment does not show is 0.5. coarse : by blocks of
    4 × 4. inside : (*coarse) bool. origin : of its first pixel in the image. step : image pixels a pixel of the view, one an axis.
    """

    segment: Segment
    pixels: Floats
    coarse: Floats
    inside: npt.NDArray[np.bool_]
    origin: tuple[int, int]
    step: tuple[float, float]


def views(segments: Segments, array: npt.NDArray[np.generic]) -> Iterator[View]:
    """Of a radiograph's array (1, rows, columns), a view of each of its segments."""
    for segment in segments:
        pixels = segments.pixels(array, segment)[0]
        shown = segments.inside(segment)
        rows, columns = pixels.shape
        even = np.pad(pixels, ((0, -rows % COARSE), (0, -columns % COARSE)), mode="edge")
        coarse = even.reshape(even.shape[0] // COARSE, COARSE, even.shape[1] // COARSE, COARSE).mean(axis=(1, 3), dtype=np.float32)
        places = [
            np.minimum(((np.arange(n) + 0.5) * COARSE * old / new).astype(int), old - 1)
            for n, old, new in zip(coarse.shape, shown.shape, pixels.shape, strict=True)
        ]
        inside = shown[np.ix_(*places)]
        mean, deviation = _statistics(coarse, inside)
        fine_mean, fine_deviation = (_finer(values, pixels.shape) for values in (mean, deviation))
        evened = np.clip((pixels - fine_mean) / fine_deviation / (2 * _RANGE) + 0.5, 0, 1)
        small = np.clip((coarse - mean) / deviation / (2 * _RANGE) + 0.5, 0, 1)
        evened[~_fitted(shown, pixels.shape)] = 0.5
        small[~inside] = 0.5
        step = tuple(n / m for n, m in zip(segment.box.shape, pixels.shape, strict=True))
        yield View(segment, evened, small, inside, segment.box.lower, step)  # type: ignore[arg-type]


def whole(array: npt.NDArray[np.generic], region: npt.NDArray[np.bool_]) -> tuple[Floats, float]:
    """The whole radiograph (1, rows, columns) reduced to 128 pixels on its longer side, region's mean at 0.5; and the image pixels
    that make one of its pixels.
    """
    from skimage.transform import resize

    factor = max(array.shape[1:]) / CONTEXT
    shape = tuple(max(1, round(n / factor)) for n in array.shape[1:])
    stride = max(1, int(factor / 4))  # the filter needs no more than four samples a pixel
    small = resize(array[0, ::stride, ::stride].astype(np.float32), shape, anti_aliasing=True).astype(np.float32)
    lungs = resize(region[::stride, ::stride].astype(np.float32), shape, order=1) > 0.5
    values = small[lungs] if lungs.any() else small
    return np.clip((small - values.mean()) / max(float(values.std()), 1e-3) / (2 * _RANGE) + 0.5, 0, 1), factor


def _statistics(coarse: Floats, inside: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Local mean and standard deviation of what is shown (normalised convolution)."""
    from scipy.ndimage import gaussian_filter

    sigma = FIELD_MM / (PIXEL_MM * COARSE)
    weight = inside.astype(np.float32)
    total = gaussian_filter(weight, sigma, truncate=2.5) + 1e-3
    mean = gaussian_filter(coarse * weight, sigma, truncate=2.5) / total
    square = gaussian_filter((coarse - mean) ** 2 * weight, sigma, truncate=2.5) / total
    # Where all is even, noise must not be blown up to look like contrast.
    least = 0.1 * float(coarse[inside].std()) if inside.any() else 1.0
    return mean, np.sqrt(square + least**2 + 1e-6)


def _finer(values: Floats, shape: tuple[int, ...]) -> Floats:
    import torch
    from torch.nn import functional

    whole_blocks = [n * COARSE for n in values.shape]
    finer = functional.interpolate(torch.from_numpy(values)[None, None], size=whole_blocks, mode="bilinear", align_corners=False)
    return finer[0, 0, : shape[0], : shape[1]].numpy()


def _fitted(shown: npt.NDArray[np.bool_], shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    if shown.shape == shape:
        return shown
    places = [np.minimum(((np.arange(n) + 0.5) * old / n).astype(int), old - 1) for n, old in zip(shape, shown.shape, strict=True)]
    return shown[np.ix_(*places)]
