"""What a network said of every place of the segments it was given, merged in the image's own pixels.

A network looks at a segment place by place (a place is one value of its output, a few pixels wide). Where segments overlap the
highest value stands: what one segment shows whole, another cuts off, and a mean would fade what one of them saw.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from casewise.errors import CasewiseError

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class PlaceMap:
    """A network's output on one segment.

    values : (*places), such as probabilities. inside : (*places) bool, the places that the segment shows; what the network said of
    others counts nowhere. origin : of the first place's lower corner in the image, in pixels along each axis. step : pixels a
    place along each axis.
    """

    values: npt.NDArray[np.floating]
    inside: npt.NDArray[np.bool_]
    origin: tuple[float, ...]
    step: tuple[float, ...]

    def __post_init__(self) -> None:
        axes = self.values.ndim
        if self.values.shape != self.inside.shape or not axes == len(self.origin) == len(self.step) or min(self.step) <= 0:
            msg = (
                f"A map of places needs values and a mask of one shape, and an origin and a positive step for each axis; got "
                f"{self.values.shape}, {self.inside.shape}, {self.origin}, {self.step}."
            )
            raise CasewiseError(msg)

    def scaled(self, factor: float) -> PlaceMap:
        """The same on a grid of ``factor`` times as many pixels along each axis."""
        return replace(self, origin=tuple(n * factor for n in self.origin), step=tuple(n * factor for n in self.step))


def merged(parts: Iterable[PlaceMap], shape: Sequence[int]) -> Floats:
    """(*shape) float32 on the image's grid: in each pixel the highest value of the places that its centre lies in; where places are
    smaller than pixels, of those whose own centre lies in the pixel.

    NaN where no segment shows the pixel: nothing looked there. Values are not interpolated, so that what is displayed is what the
    network said. Raises CasewiseError for parts of another number of axes.
    """
    whole = np.full(tuple(shape), np.nan, np.float32)
    for part in parts:
        if part.values.ndim != whole.ndim:
            msg = f"A map of {part.values.ndim} axes cannot be merged on a grid of {tuple(shape)}."
            raise CasewiseError(msg)
        values = np.where(part.inside, part.values, np.nan).astype(np.float32)
        spans = []
        for axis, (origin, step) in enumerate(zip(part.origin, part.step, strict=True)):
            if step < 1:
                origin, values = _pooled(values, axis, origin, step)
            spans.append(_places(origin, max(step, 1.0), values.shape[axis], whole.shape[axis]))
        window = tuple(slice(first, first + len(places)) for first, places in spans)
        np.fmax(whole[window], values[np.ix_(*(places for _, places in spans))], out=whole[window])  # the other where one is NaN
    return whole


def in_grey_levels(probabilities: Floats) -> npt.NDArray[np.uint8]:
    """Probabilities with NaN where nothing looked as whole numbers for a file: 0 there, 1 to 255 elsewhere."""
    looked = np.isfinite(probabilities)
    levels = np.rint(255 * np.where(looked, probabilities, 0))
    return np.where(looked, np.clip(levels, 1, 255), 0).astype(np.uint8)


def _pooled(values: Floats, axis: int, origin: float, step: float) -> tuple[float, Floats]:
    """(first pixel, the highest value in each pixel from there on) of places along an axis that are smaller than pixels."""
    pixels = np.floor(origin + (np.arange(values.shape[axis]) + 0.5) * step)
    first = np.flatnonzero(np.diff(pixels, prepend=-np.inf))
    return float(pixels[0]), np.fmax.reduceat(values, first, axis=axis)


def _places(origin: float, step: float, count: int, length: int) -> tuple[int, Indices]:
    """(first pixel of an axis that lies in a place, the place of it and of each next one)."""
    places = np.floor((np.arange(length) + 0.5 - origin) / step + 1e-9).astype(np.intp)
    within = np.flatnonzero((places >= 0) & (places < count))
    return (int(within[0]), places[within]) if within.size else (0, np.empty(0, np.intp))
