"""What a detector of segments sees of an image: each segment at its native resolution, and the whole image reduced to a quarter.

Local mean and deviation are taken out, so that an irregularity behind a bone and beside it, and images of different exposure, look
alike (as Hardie 2008 does before filtering). Where a segment shows nothing stands 0, the local mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from casewise.device import faster
from casewise.models.networks.segment_detector import ALIGNED, PLACE, PLACED, Features, SegmentDetector
from casewise.segments import Segment, Segments

FIELD = 68  # native pixels: standard deviation of the Gaussian neighbourhood that contrast is measured in; 12 mm of a radiograph's
RANGE = 4.0  # local deviations that still differ in what the network sees
QUARTER = 4
Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Where = Callable[[Segments, Segment, Floats, Floats], Floats]


@dataclass(frozen=True, eq=False)
class Picture:
    """pixels : (rows, columns) float32 in local standard deviations from the local mean, 0 beyond the image; edges are multiples of
    ``ALIGNED``.
    """

    pixels: Floats

    @classmethod
    def of(cls, plane: npt.NDArray[np.generic]) -> Picture:
        """Of an image's plane (rows, columns), bright or dark, whatever its values."""
        evened = local_contrast(plane.astype(np.float32))
        return cls(np.pad(evened, [(0, -n % ALIGNED) for n in evened.shape]))

    @cached_property
    def quarter(self) -> Floats:
        return reduced(self.pixels, QUARTER)


@dataclass(frozen=True, eq=False)
class View:
    """A segment as the network sees it, in places of ``PLACE`` native pixels.

    number : of the segment, from 0. origin : (row, column) of the first place's corner in the image, in pixels. inside : (rows,
    columns), what the segment shows. pixels : (rows · PLACE, columns · PLACE), what the network was given of it. features : see
    :data:`casewise.models.networks.segment_detector.Features`.
    """

    segment: Segment
    number: int
    origin: tuple[int, int]
    inside: Mask
    pixels: Floats
    features: Features

    @property
    def centres(self) -> tuple[Floats, Floats]:
        """Rows and columns of the places' centres in the image, in pixels."""
        rows, columns = ((np.arange(n) + 0.5) * PLACE + o for n, o in zip(self.inside.shape, self.origin, strict=True))
        return rows.astype(np.float32), columns.astype(np.float32)


def views(network: SegmentDetector, picture: Picture, segments: Segments, where: Where | None = None) -> Iterator[View]:
    """Every segment of an image as ``network`` sees it; its encoder is asked once a segment, and once for the whole image.

    where : gives the channels that say where places lie; None takes :func:`in_region`.
    """
    device = next(network.parameters()).device

    def seen(pixels: Floats, scale: int) -> Features:
        tensor = torch.from_numpy(np.ascontiguousarray(pixels))[None, None].to(device)
        with torch.inference_mode(), faster(device.type):
            return network.encoded(tensor, network.levels, scale)

    of_whole = [level for level in network.levels if level.reduced == QUARTER]
    whole = seen(picture.quarter, QUARTER) if of_whole else []
    for number, segment in enumerate(segments):
        low, high = (n // ALIGNED * ALIGNED for n in segment.box.lower), (-(-n // ALIGNED) * ALIGNED for n in segment.box.upper)
        window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        pixels, inside = displayed(picture, segments, segment, window)
        features = [*seen(pixels, 1), *seen(reduced(pixels, 2), 2)] if network.native else []
        for level, answer in zip(of_whole, whole, strict=True):
            rows, columns = (slice(edge.start // level.step, edge.stop // level.step) for edge in window)
            features.append(answer[..., rows, columns])
        held = reduced(inside.astype(np.float32), PLACE) >= 0.5
        view = View(segment, number, (window[0].start, window[1].start), held, pixels, [])
        placed = torch.from_numpy((where or in_region)(segments, segment, *view.centres))[None].to(device)
        yield replace(view, features=[*features, placed])


def displayed(picture: Picture, segments: Segments, segment: Segment, window: tuple[slice, ...]) -> tuple[Floats, Mask]:
    """(what a segment shows of a picture in a window about its box, and 0 elsewhere; where it shows something)."""
    outer = zip(segment.box.lower, segment.box.upper, window, strict=True)
    inside = np.pad(segments.inside(segment), [(low - own.start, own.stop - high) for low, high, own in outer])
    return np.where(inside, picture.pixels[window], np.float32(0)), inside


def in_region(segments: Segments, segment: Segment, rows: Floats, columns: Floats) -> Floats:
    """(PLACED, rows, columns): how far across and down its region's box a place lies, −0.5 to 0.5 within it, and the squares."""
    own = segments.regions[segment.region]
    held = [np.flatnonzero(own.any(axis)) for axis in (1, 0)]
    down, across = ((n - h[0]) / (h[-1] - h[0] + 1) - 0.5 for n, h in zip((rows, columns), held, strict=True))
    return stacked(np.broadcast_to(across, (len(rows), len(columns))), np.broadcast_to(down[:, None], (len(rows), len(columns))))


def stacked(across: npt.NDArray[np.floating], down: npt.NDArray[np.floating]) -> Floats:
    """Two coordinates (rows, columns) and their squares, far outside cut off."""
    parts = [np.clip(one, -1.5, 1.5) for one in (across, down)]
    found = np.stack([parts[0], parts[0] ** 2, parts[1], parts[1] ** 2]).astype(np.float32)
    return found[:PLACED]


def reduced(pixels: Floats, step: int) -> Floats:
    """Means of squares of ``step`` pixels; the edges are multiples of it."""
    rows, columns = (n // step for n in pixels.shape)
    return np.asarray(pixels.reshape(rows, step, columns, step).mean(axis=(1, 3)), np.float32)


def local_contrast(plane: Floats) -> Floats:
    """(rows, columns) in local standard deviations from the local mean, −``RANGE`` to ``RANGE``.

    Mean and deviation are measured on the image reduced to a quarter: of finer grain nothing is known in the other branch.
    """
    even = np.pad(plane, [(0, -n % QUARTER) for n in plane.shape], mode="edge")
    mean, spread = (_enlarged(values) for values in _local(reduced(even, QUARTER)))
    found = np.clip((even - mean) / spread, -RANGE, RANGE)
    return np.asarray(found[: plane.shape[0], : plane.shape[1]], np.float32)


def evened(coarse: Floats) -> Floats:
    """The same of a plane that has a pixel for ``QUARTER`` native ones, on each axis."""
    mean, spread = _local(coarse)
    return np.asarray(np.clip((coarse - mean) / spread, -RANGE, RANGE), np.float32)


def _local(coarse: Floats) -> tuple[Floats, Floats]:
    """Local mean and standard deviation of an image that is reduced to a quarter."""
    from scipy.ndimage import gaussian_filter

    sigma = FIELD / QUARTER
    mean = gaussian_filter(coarse, sigma, truncate=2.5)
    square = gaussian_filter((coarse - mean) ** 2, sigma, truncate=2.5)
    least = 0.1 * float(coarse.std())  # where all is even, noise must not be blown up to look like contrast
    return mean, np.sqrt(square + least**2 + 1e-6)


def _enlarged(values: Floats) -> Floats:
    tensor = torch.from_numpy(np.ascontiguousarray(values, np.float32))[None, None]
    return np.asarray(functional.interpolate(tensor, scale_factor=QUARTER, mode="bilinear", align_corners=False)[0, 0].numpy())
