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
COARSE = 4  # native pixels of a place, on each axis: 0.7 mm, as of an image of 2048 pixels reduced to 512
FIELD_MM = 12.0  # standard deviation of the Gaussian neighbourhood that contrast is measured in
_RANGE = 3.0  # deviations that still differ in what the network sees
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class View:
    """A segment as the detector sees it, in places of 4 × 4 pixels of the segment.

    seen : (17, rows, columns) float32, in local standard deviations from the local mean, −3 to 3: the sixteen native pixels of a
    place, 0 where the segment shows nothing; and the whole image reduced to one pixel a place, of which nothing is hidden.
    inside : (rows, columns) bool, what the segment shows. origin : of its first pixel in the image. step : image pixels a place,
    one an axis.
    """

    segment: Segment
    seen: Floats
    inside: npt.NDArray[np.bool_]
    origin: tuple[int, int]
    step: tuple[float, float]


def views(segments: Segments, array: npt.NDArray[np.generic]) -> Iterator[View]:
    """Of a radiograph's array (1, rows, columns), a view of each of its segments."""
    reduced: dict[tuple[float, ...], Floats] = {}
    for segment in segments:
        pixels = segments.pixels(array, segment)[0]
        shown = segments.inside(segment)
        coarse = reduced_by(pixels, COARSE)
        inside = shown[np.ix_(*(_places(n, old, new) for n, old, new in zip(coarse.shape, shown.shape, pixels.shape, strict=True)))]
        step = tuple(COARSE * n / m for n, m in zip(segment.box.shape, pixels.shape, strict=True))
        if segment.scale not in reduced:
            reduced[segment.scale] = whole(array, segment.scale)
        seen = np.concatenate([_native(pixels, coarse, inside), _part(reduced[segment.scale], segment, step, coarse.shape)[None]])
        yield View(segment, seen, inside, segment.box.lower, step)  # type: ignore[arg-type]


def whole(array: npt.NDArray[np.generic], scale: tuple[float, ...] = (1.0, 1.0)) -> Floats:
    """The whole radiograph (1, rows, columns), one pixel a place, in local standard deviations."""
    plane = array[0].astype(np.float32)
    if min(scale) < 1:
        from skimage.transform import resize

        plane = resize(plane, tuple(round(n * s) for n, s in zip(plane.shape, scale, strict=True)), order=1).astype(np.float32)
    return evened(reduced_by(plane, COARSE))


def evened(plane: Floats) -> Floats:
    """A plane of places in local standard deviations from the local mean, −3 to 3."""
    mean, deviation = _statistics(plane, np.ones(plane.shape, bool))
    return np.clip((plane - mean) / deviation, -_RANGE, _RANGE).astype(np.float32)


def reduced_by(pixels: Floats, factor: int) -> Floats:
    """Means of blocks of factor × factor; the last ones are filled with the nearest pixels."""
    even = np.pad(pixels, ((0, -pixels.shape[0] % factor), (0, -pixels.shape[1] % factor)), mode="edge")
    blocks = even.reshape(even.shape[0] // factor, factor, even.shape[1] // factor, factor)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32))


def flipped(seen: Floats, axis: int) -> Floats:
    """What the detector sees of the image mirrored along rows (1) or columns (2); a place's native pixels change theirs too."""
    turned = np.flip(seen, axis)
    if len(seen) == 1:
        return turned
    order = np.arange(len(seen))
    order[:-1] = np.flip(order[:-1].reshape(4, 4), axis - 1).ravel()
    return turned[order]


def _native(pixels: Floats, coarse: Floats, inside: npt.NDArray[np.bool_]) -> Floats:
    """(16, rows, columns)."""
    mean, deviation = _statistics(coarse, inside)
    rows, columns = coarse.shape
    even = np.pad(pixels, ((0, rows * COARSE - pixels.shape[0]), (0, columns * COARSE - pixels.shape[1])), mode="edge")
    blocks = even.reshape(rows, COARSE, columns, COARSE).transpose(1, 3, 0, 2).reshape(COARSE**2, rows, columns)
    return np.clip((blocks - mean) / deviation, -_RANGE, _RANGE) * inside


def _part(plane: Floats, segment: Segment, step: tuple[float, ...], shape: tuple[int, ...]) -> Floats:
    """The places of the whole image that lie nearest to a segment's."""
    chosen = [
        np.clip(np.round(low / s).astype(int) + np.arange(n), 0, most - 1)
        for low, s, n, most in zip(segment.box.lower, step, shape, plane.shape, strict=True)
    ]
    return plane[np.ix_(*chosen)]


def _places(count: int, old: int, new: int) -> npt.NDArray[np.intp]:
    """The image pixel in the middle of each of ``count`` places."""
    return np.minimum(((np.arange(count) + 0.5) * COARSE * old / new).astype(int), old - 1)


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
