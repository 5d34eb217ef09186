"""What a detector of segments sees of an image: each segment at its native resolution, and the whole image reduced to a quarter.

Local mean and deviation are taken out, so that an irregularity behind a bone and beside it, and images of different exposure, look
alike (as Hardie 2008 does before filtering). Where a segment shows nothing stands 0, the local mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from casewise.models.networks.segment_detector import ALIGNED, PLACE, PLACED, WHOLE, Features, SegmentDetector
from casewise.segments import Segment, Segments

FIELD = 68  # native pixels: standard deviation of the Gaussian neighbourhood that contrast is measured in; 12 mm of a radiograph's
RANGE = 4.0  # local deviations that still differ in what the network sees
GAIN = 0.3  # of local deviations, to the range that the encoder's weights were learnt with
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
    :data:`casewise.models.networks.segment_detector.Features`. mirrored : whether they are of the image mirrored left to right.
    """

    segment: Segment
    number: int
    origin: tuple[int, int]
    inside: Mask
    pixels: Floats
    features: Features
    mirrored: bool = False

    @property
    def centres(self) -> tuple[Floats, Floats]:
        """Rows and columns of the places' centres in the image, in pixels."""
        rows, columns = ((np.arange(n) + 0.5) * PLACE + o for n, o in zip(self.inside.shape, self.origin, strict=True))
        return rows.astype(np.float32), columns.astype(np.float32)


def views(
    network: SegmentDetector, picture: Picture, segments: Segments, where: Where | None = None, mirrored: bool = False
) -> Iterator[View]:
    """Every segment of an image as ``network`` sees it; its encoder is asked once a segment, and once for the whole image.

    where : gives the channels that say where places lie; None takes :func:`in_region`.
    """
    device = next(network.parameters()).device

    def seen(pixels: Floats, scale: int) -> Features:
        x = np.flip(pixels, 1) if mirrored else pixels
        tensor = torch.from_numpy(np.ascontiguousarray(x) * np.float32(GAIN))[None, None].to(device)
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
            return network.encoded(tensor, network.levels, scale)

    whole = seen(picture.quarter, QUARTER) if WHOLE[0] in network.levels else []
    for number, segment in enumerate(segments):
        low = tuple(n // ALIGNED * ALIGNED for n in segment.box.lower)
        high = tuple(-(-n // ALIGNED) * ALIGNED for n in segment.box.upper)
        pixels = displayed(picture, segments, segment, low, high)
        inside = _inside(segments, segment, low, high)
        features = [*seen(pixels, 1), *seen(reduced(pixels, 2), 2)] if network.native else []
        edge = picture.pixels.shape[1]
        left, right = (edge - high[1], edge - low[1]) if mirrored else (low[1], high[1])
        window = (slice(low[0], high[0]), slice(left, right))
        for level, answer in zip(WHOLE, whole, strict=False):
            rows, columns = (slice(s.start // level.step, s.stop // level.step) for s in window)
            features.append(answer[..., rows, columns])
        view = View(segment, number, (low[0], low[1]), inside, pixels, [], mirrored)
        channels = (where or in_region)(segments, segment, *view.centres)
        placed = torch.from_numpy(np.ascontiguousarray(np.flip(channels, 2) if mirrored else channels))[None].to(device)
        yield View(segment, number, view.origin, inside, pixels, [*features, placed], mirrored)


def displayed(picture: Picture, segments: Segments, segment: Segment, low: tuple[int, ...], high: tuple[int, ...]) -> Floats:
    """What a segment shows of a picture within a window around its box, and 0 elsewhere."""
    window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    shown = np.zeros(tuple(b - a for a, b in zip(low, high, strict=True)), np.float32)
    box = tuple(slice(a - o, b - o) for a, b, o in zip(segment.box.lower, segment.box.upper, low, strict=True))
    own = picture.pixels[window][box]
    shown[box] = np.where(segments.inside(segment), own, 0)
    return shown


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
    from scipy.ndimage import gaussian_filter

    even = np.pad(plane, [(0, -n % QUARTER) for n in plane.shape], mode="edge")
    coarse = reduced(even, QUARTER)
    sigma = FIELD / QUARTER
    mean = gaussian_filter(coarse, sigma, truncate=2.5)
    square = gaussian_filter((coarse - mean) ** 2, sigma, truncate=2.5)
    least = 0.1 * float(coarse.std())  # where all is even, noise must not be blown up to look like contrast
    spread = np.sqrt(square + least**2 + 1e-6)
    mean, spread = (_enlarged(values) for values in (mean, spread))
    found = np.clip((even - mean) / spread, -RANGE, RANGE)
    return np.asarray(found[: plane.shape[0], : plane.shape[1]], np.float32)


def _enlarged(values: Floats) -> Floats:
    tensor = torch.from_numpy(np.ascontiguousarray(values, np.float32))[None, None]
    return np.asarray(functional.interpolate(tensor, scale_factor=QUARTER, mode="bilinear", align_corners=False)[0, 0].numpy())


def _inside(segments: Segments, segment: Segment, low: tuple[int, ...], high: tuple[int, ...]) -> Mask:
    """(places): at least half of which the segment shows."""
    shown = np.zeros(tuple(b - a for a, b in zip(low, high, strict=True)), np.float32)
    box = tuple(slice(a - o, b - o) for a, b, o in zip(segment.box.lower, segment.box.upper, low, strict=True))
    shown[box] = segments.inside(segment)
    return np.asarray(reduced(shown, PLACE) >= 0.5)
