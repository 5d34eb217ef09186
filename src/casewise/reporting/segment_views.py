"""The segments that findings were made in, pixel by pixel as they were looked at, for the report to open from a finding's mark."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image as Pillow

from casewise import wording
from casewise.finding import Finding, SegmentPicture
from casewise.image import Array, Box, Image
from casewise.png import packing
from casewise.reporting.heat import COLOUR, OPACITY, shares
from casewise.reporting.pictures import channels_last, display_range, png_uri, rgb, to_pixels
from casewise.reporting.planes import Plane, planes

_MOST = 12
_BYTES = 6_000_000
_LEVELS = 32


@dataclass(frozen=True, eq=False)
class SegmentPixels:
    """What was looked at in one segment. findings : their numbers in the result, from 0. pixels : of ``segment.shape``.

    heat : (*segment.box.shape), the part of their application's map that lies in the segment, and ``hottest``, the highest value
    of the whole map; None where there is none.
    """

    findings: tuple[int, ...]
    segment: SegmentPicture
    pixels: Image
    heat: Array | None = None
    hottest: float = 0.0


@dataclass(frozen=True)
class SegmentFrame:
    """A finding's box in a segment's picture, in its pixels. finding : its number in the result, from 0."""

    finding: int
    caption: str
    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class SegmentView:
    """A segment's picture as it is opened. width, height : in the segment's own pixels, whose sides are ``spacing`` (down, across)
    in mm, or pixels. uri : a PNG of just these pixels. heat : a see-through PNG over it, or ``""``. title : number and region.
    about : size, scale and the window that it is displayed in.
    """

    ident: str
    title: str
    about: str
    width: int
    height: int
    spacing: tuple[float, float]
    uri: str
    heat: str
    frames: tuple[SegmentFrame, ...]

    @property
    def whole(self) -> str:
        """The picture as an SVG view box."""
        return f"0 0 {round(self.width * self.spacing[1], 4)} {round(self.height * self.spacing[0], 4)}"


@dataclass(frozen=True)
class SegmentViews:
    """opened_by : number of a finding in the result → one of the ``views``. more : findings whose segment had no room."""

    views: tuple[SegmentView, ...] = ()
    opened_by: Mapping[int, SegmentView] = field(default_factory=dict)
    more: int = 0


def segment_views(image: Image, findings: Sequence[Finding], segments: Sequence[SegmentPixels]) -> SegmentViews:
    """A picture for each segment; of a block of a volume for each slice that a finding is in the middle of, in the first plane.

    Pixels are displayed in the image's own window, never compressed with loss; the first twelve, and 6 MB, have room in a report.
    """
    first = planes(image)[0]
    views: list[SegmentView] = []
    opened_by: dict[int, SegmentView] = {}
    spent = more = 0
    for one in segments:
        slices: dict[int, list[int]] = {}
        for number in one.findings:
            slices.setdefault(_index(first, findings[number].box or one.segment.box), []).append(number)
        for index, numbers in slices.items():
            room = len(views) < _MOST and spent < _BYTES
            view = _view(f"g{len(views)}", first.at(index), image, findings, numbers, one) if room else None
            if view is None or spent + len(view.uri) > _BYTES:
                more += len(numbers)
                continue
            spent += len(view.uri) + len(view.heat)
            views.append(view)
            opened_by.update(dict.fromkeys(numbers, view))
    return SegmentViews(tuple(views), opened_by, more)


def _view(
    ident: str, plane: Plane, image: Image, findings: Sequence[Finding], numbers: Sequence[int], one: SegmentPixels
) -> SegmentView:
    segment, shape = one.segment, one.pixels.spatial_shape
    scales = [n / whole for n, whole in zip(shape, segment.box.shape, strict=True)]
    inner = plane.at(0) if plane.through is None else plane.at(_within(plane.index, plane.through, segment.box, scales, shape))
    low, high = display_range(image)
    pixels = to_pixels(inner.cut(channels_last(one.pixels)), low, high)
    height, width = pixels.shape[:2]
    frames = []
    for number in numbers:
        box = _boxed(findings[number].box, segment.box, scales, shape)
        rectangle = None if box is None else inner.rectangle(box, shape)
        if rectangle is not None:
            top, left, bottom, right = rectangle
            frames.append(SegmentFrame(number, _caption(findings[number]), left, top, right - left, bottom - top))
    down, across = (side / scales[axis] for side, axis in zip(plane.spacing, plane.axes, strict=True))
    return SegmentView(
        ident,
        _title(findings[numbers[0]], segment),
        f"{width} × {height} pixels, {segment.scale:.2f} of the image's resolution{_slice(plane)} · "
        f"window {wording.number(high - low, 4)}, level {wording.number((high + low) / 2, 4)}",
        width,
        height,
        (down, across),
        png_uri(pixels),
        "" if one.heat is None else _heat_uri(_local(plane, segment.box).cut(one.heat), one.hottest),
        tuple(frames),
    )


def _title(finding: Finding, segment: SegmentPicture) -> str:
    number = finding.measures.get("segment")
    return f"Segment{f' {number:.0f}' if number is not None else ''}, {segment.region.replace('_', ' ')}"


def _slice(plane: Plane) -> str:
    return "" if plane.through is None else f", {plane.name} slice {plane.index}".replace("slice slice", "slice")


def _caption(finding: Finding) -> str:
    label = finding.label.replace("_", " ")
    return label if finding.probability is None else f"{label} {100 * finding.probability:.0f} %"


def _index(plane: Plane, box: Box) -> int:
    """The slice through the middle of a box."""
    return 0 if plane.through is None else (box.lower[plane.through] + box.upper[plane.through] - 1) // 2


def _within(index: int, axis: int, box: Box, scales: Sequence[float], shape: Sequence[int]) -> int:
    """A slice of the image as one of the segment's own."""
    return min(max(0, int((index + 0.5 - box.lower[axis]) * scales[axis])), shape[axis] - 1)


def _local(plane: Plane, box: Box) -> Plane:
    """A cut of the image as one of what it holds within ``box``."""
    axis = plane.through
    return plane if axis is None else plane.at(min(max(0, plane.index - box.lower[axis]), box.shape[axis] - 1))


def _boxed(box: Box | None, whole: Box, scales: Sequence[float], shape: Sequence[int]) -> Box | None:
    """A box of the image as one of the segment's own pixels; None where nothing of it lies in the segment."""
    if box is None or len(box.lower) != len(shape):
        return None
    grid = list(zip(whole.lower, scales, shape, strict=True))
    lower, upper = (
        [min(max(0, round((n - first) * scale)), most) for n, (first, scale, most) in zip(ends, grid, strict=True)]
        for ends in (box.lower, box.upper)
    )
    return Box(tuple(lower), tuple(upper)) if all(lo < hi for lo, hi in zip(lower, upper, strict=True)) else None


def _heat_uri(heat: Array, hottest: float) -> str:
    """A PNG of one colour, the more opaque the higher the value."""
    levels = np.ascontiguousarray(np.rint(shares(heat, hottest) / OPACITY * (_LEVELS - 1)).astype(np.uint8))
    picture = Pillow.fromarray(levels)
    picture.putpalette(list(rgb(COLOUR)) * _LEVELS)
    buffer = io.BytesIO()
    alphas = bytes(round(255 * OPACITY * level / (_LEVELS - 1)) for level in range(_LEVELS))
    picture.save(buffer, "PNG", transparency=alphas, **packing(picture))
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
