"""What the detector sees of a radiograph: the whole film at 0.7 mm a place, local contrast evened out, segment by segment.

Local mean and deviation are taken out, so that nodules behind a rib and in clear lung, and films of different exposure, look
alike (as Hardie 2008 does before filtering). A place measures 0.7 mm whatever the film's own pixels measure: a network that learnt
nodules at one scale finds them at no other. Networks that see native pixels see a segment's own besides, sixteen a place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.segments import Segment, Segments

PIXEL_MM = 0.175  # of the films of 2048 pixels that networks with native pixels learnt from
COARSE = 4  # native pixels of a place, on each axis
PLACE_MM = PIXEL_MM * COARSE  # 0.7 mm: an image of 2048 such pixels reduced to 512
FIELD_MM = 12.0  # standard deviation of the Gaussian neighbourhood that contrast is measured in
_RANGE = 3.0  # deviations that still differ in what the network sees
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class View:
    """A segment as the detector sees it, in places of 0.7 mm.

    seen : (1 or 17, rows, columns) float32, in local standard deviations from the local mean, −3 to 3. The last channel is the
    whole image reduced to one pixel a place, of which nothing is hidden. The sixteen before it, where they were asked for, are the
    native pixels of a place, 0 where the segment shows nothing.
    inside : (rows, columns) bool, what the segment shows. origin : of its first place in the image, in pixels. step : image pixels
    a place.
    """

    segment: Segment
    seen: Floats
    inside: npt.NDArray[np.bool_]
    origin: tuple[float, float]
    step: float


def views(segments: Segments, array: npt.NDArray[np.generic], millimetres: float, native: bool = False) -> Iterator[View]:
    """Of a radiograph's array (1, rows, columns), whose pixels measure ``millimetres``, a view of each of its segments.

    native : whether a place's own pixels are shown too. A place is then 4 × 4 pixels, so that they must measure 0.175 mm.
    """
    step = float(COARSE) if native else PLACE_MM / millimetres
    everything = whole(array, step)
    for segment in segments:
        shape = tuple(-(-n // step) for n in segment.box.shape)
        first = [round(low / step) for low in segment.box.lower]
        places = [
            np.minimum(start + np.arange(int(n)), most - 1) for start, n, most in zip(first, shape, everything.shape, strict=True)
        ]
        origin = segment.box.lower if native else tuple(start * step for start in first)
        displayed = segments.inside(segment)
        inside = displayed[
            np.ix_(
                *(
                    _middles(o, int(n), step, low, m)
                    for o, n, low, m in zip(origin, shape, segment.box.lower, displayed.shape, strict=True)
                )
            )
        ]
        seen = everything[np.ix_(*places)][None]
        if native:
            seen = np.concatenate([_native(segments.pixels(array, segment)[0], inside), seen])
        yield View(segment, seen, inside, origin, step)  # type: ignore[arg-type]


def whole(array: npt.NDArray[np.generic], step: float = COARSE) -> Floats:
    """The whole radiograph (1, rows, columns), one pixel a place of ``step`` pixels, in local standard deviations."""
    return evened(reduced_by(array[0].astype(np.float32), step))


def evened(plane: Floats) -> Floats:
    """A plane of places in local standard deviations from the local mean, −3 to 3."""
    mean, deviation = _statistics(plane, np.ones(plane.shape, bool))
    return np.asarray(np.clip((plane - mean) / deviation, -_RANGE, _RANGE).astype(np.float32))


def reduced_by(pixels: Floats, step: float) -> Floats:
    """Means of squares of ``step`` pixels, side by side; linear interpolation between pixels where ``step`` is below 1.

    The last squares are filled with the nearest pixels.
    """
    return _reduced_rows(np.ascontiguousarray(_reduced_rows(pixels, step).T), step).T


def _reduced_rows(pixels: Floats, step: float) -> Floats:
    count = int(np.ceil(len(pixels) / step - 1e-9))
    if step >= 1 and float(step).is_integer():
        even = np.pad(pixels, ((0, count * int(step) - len(pixels)), (0, 0)), mode="edge")
        return np.asarray(even.reshape(count, int(step), -1).sum(axis=1, dtype=np.float64) / step, np.float32)
    width = max(step, 1.0)
    beyond = int(np.ceil(width)) + 1
    before = np.cumsum(np.pad(pixels, ((beyond, beyond), (0, 0)), mode="edge"), axis=0, dtype=np.float64)
    before = np.concatenate([np.zeros_like(before[:1]), before])  # the sum of what lies above each edge between pixels
    middles = (np.arange(count, dtype=np.float64) + 0.5) * step + beyond
    return np.asarray((_at(before, middles + width / 2) - _at(before, middles - width / 2)) / width, np.float32)


def _at(values: npt.NDArray[np.floating[Any]], places: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
    low = np.clip(np.floor(places).astype(int), 0, len(values) - 2)
    share = (places - low)[:, None]
    return np.asarray(values[low] * (1 - share) + values[low + 1] * share)


def flipped(seen: Floats, axis: int) -> Floats:
    """What the detector sees of the image mirrored along rows (1) or columns (2); a place's native pixels change theirs too."""
    turned = np.flip(seen, axis)
    if len(seen) == 1:
        return turned
    order = np.arange(len(seen))
    order[:-1] = np.flip(order[:-1].reshape(4, 4), axis - 1).ravel()
    return turned[order]


def _native(pixels: Floats, inside: npt.NDArray[np.bool_]) -> Floats:
    """(16, rows, columns)."""
    coarse = reduced_by(pixels, COARSE)
    mean, deviation = _statistics(coarse, inside)
    rows, columns = coarse.shape
    even = np.pad(pixels, ((0, rows * COARSE - pixels.shape[0]), (0, columns * COARSE - pixels.shape[1])), mode="edge")
    blocks = even.reshape(rows, COARSE, columns, COARSE).transpose(1, 3, 0, 2).reshape(COARSE**2, rows, columns)
    return np.asarray(np.clip((blocks - mean) / deviation, -_RANGE, _RANGE) * inside)


def _middles(origin: float, count: int, step: float, lower: int, length: int) -> npt.NDArray[np.intp]:
    """The pixel of a segment that begins at ``lower`` in the middle of each of ``count`` places from ``origin`` on."""
    middles = np.floor(origin - lower + (np.arange(count) + 0.5) * step + 1e-9).astype(int)
    return np.asarray(np.clip(middles, 0, length - 1))


def _statistics(coarse: Floats, inside: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Local mean and standard deviation of what is shown (normalised convolution)."""
    from scipy.ndimage import gaussian_filter

    sigma = FIELD_MM / PLACE_MM
    weight = inside.astype(np.float32)
    total = gaussian_filter(weight, sigma, truncate=2.5) + 1e-3
    mean = gaussian_filter(coarse * weight, sigma, truncate=2.5) / total
    square = gaussian_filter((coarse - mean) ** 2 * weight, sigma, truncate=2.5) / total
    # Where all is even, noise must not be blown up to look like contrast.
    least = 0.1 * float(coarse[inside].std()) if inside.any() else 1.0
    return mean, np.sqrt(square + least**2 + 1e-6)
