"""The pictures of a report: each cut once as an image of its own size in pixels, and what is drawn over it."""

from __future__ import annotations

import base64
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from casewise import wording
from casewise.finding import FINDING, MEASURE, Finding
from casewise.image import Array, Box, Image
from casewise.label_map import LabelMap
from casewise.png import packing
from casewise.reporting.contours import outline
from casewise.reporting.pictures import (
    COLOURS,
    Pixels,
    channels_last,
    check_grid,
    colours,
    data_uri,
    display_range,
    inner_border,
    rgb,
    to_pixels,
)
from casewise.reporting.planes import Plane, best_index, planes, spread, strip
from casewise.summary import worst_first

_STRIP = 6
_PICTURE_BYTES = 5_500_000
_PATH_CHARACTERS = 900_000
_LEAST_PICTURE_BYTES = 60_000
_TILTED = 10.0
_DASHES = ("", "7 4", "2 4")
_MOST_FRAMES = 200
_SMALL, _MARGIN = 0.3, 2.5
_LEAST_CLOSE_UP = 24
_MOST_CLOSE_UPS = 6


@dataclass(frozen=True)
class Layer:
    """A mask in one cut. number : of its name in the legend. path : its outline in half pixels; or uri : a see-through PNG of the
    cut's size, where the outline would be too long to write down.
    """

    number: int
    path: str
    uri: str


@dataclass(frozen=True)
class Frame:
    """A finding's box in one cut, in displayed pixels. finding : its number in the report's table, from 0. traced : whether a mask
    outlines it as well, or it is a measure's: drawn only where it is asked for.
    """

    finding: int
    label: str
    probability: float | None
    left: int
    top: int
    width: int
    height: int
    traced: bool

    @property
    def caption(self) -> str:
        """The label and, in per cent, the probability."""
        return self.label if self.probability is None else f"{self.label} {100 * self.probability:.0f} %"


@dataclass(frozen=True)
class Panel:
    """A cut of the image: size in pixels (width, height) and in mm (or pixels) as displayed (displayed_width, displayed_height)."""

    ident: str
    caption: str
    plane: Plane
    width: int
    height: int
    uri: str
    lossless: bool
    layers: tuple[Layer, ...]
    frames: tuple[Frame, ...]

    @property
    def displayed_width(self) -> float:
        return round(self.width * self.plane.spacing[1], 4)

    @property
    def displayed_height(self) -> float:
        return round(self.height * self.plane.spacing[0], 4)

    @property
    def whole(self) -> str:
        """The whole cut as an SVG view box."""
        return f"0 0 {self.displayed_width} {self.displayed_height}"

    @property
    def letter(self) -> float:
        """A size of letters that can be read beside the picture's details."""
        return round(max(self.displayed_width, self.displayed_height) / 40, 4)


@dataclass(frozen=True)
class CloseUp:
    """A small part of a panel, enlarged. view : SVG view box, in mm (or pixels). span : the larger side of the enlarged part."""

    panel: Panel
    label: str
    view: str
    span: str


@dataclass(frozen=True)
class Entry:
    """A line of the legend. remark : why no picture displays the mask, if so. visible : whether it is drawn when the page opens."""

    name: str
    colour: str
    dash: str
    remark: str
    visible: bool = True


@dataclass(frozen=True)
class Pictures:
    """All pictures of an image: the large ones, the strip of further slices, and the legend."""

    main: tuple[Panel, ...]
    strip: tuple[Panel, ...]
    close_ups: tuple[CloseUp, ...]
    legend: tuple[Entry, ...]

    @property
    def has_overlay(self) -> bool:
        """Whether anything is drawn over any picture."""
        return self.has_boxes or any(panel.layers for panel in (*self.main, *self.strip))

    @property
    def has_boxes(self) -> bool:
        """Whether a box is drawn that no mask outlines."""
        return any(not frame.traced for panel in (*self.main, *self.strip) for frame in panel.frames)

    @property
    def lossless(self) -> bool:
        return all(panel.lossless for panel in (*self.main, *self.strip))


def pictures_of(image: Image, masks: Mapping[str, Array], findings: Sequence[Finding]) -> Pictures:
    """The panels of an image with its masks (each (*spatial) bool) and the boxes of findings that no mask outlines.

    Raises CasewiseError for a mask off the image's grid.
    """
    # A label map's masks are of that kind, and are perhaps too many to be held at once.
    held = masks if isinstance(masks, LabelMap) else {name: np.asarray(mask, dtype=bool) for name, mask in masks.items()}
    for name, mask in held.items():
        check_grid(name, mask, image.spatial_shape)
    shape = image.spatial_shape
    signs = worst_first([finding for finding in findings if finding.kind == FINDING])
    boxes = [finding.box for finding in signs if finding.box is not None and len(finding.box.lower) == len(shape)]
    outlined = [held[finding.overlay] for finding in signs if finding.overlay in held and held[finding.overlay].any()]
    # The slices are those of the worst finding; outlines of anatomy choose them only where there is none.
    where = spread(outlined[:1] if outlined else [] if boxes else held.values(), shape)
    cuts = [plane.at(best_index(plane, where, boxes)) for plane in planes(image)]
    further = [cuts[0].at(index) for index in strip(cuts[0], where, _STRIP)]
    further = further if len(further) > 1 else []
    maker = _Maker(image, held, findings, len(cuts) + len(further))
    main = tuple(maker.panel(f"p{number}", plane) for number, plane in enumerate(cuts))
    rest = tuple(maker.panel(f"s{number}", plane) for number, plane in enumerate(further))
    displayed = {layer.number for panel in (*main, *rest) for layer in panel.layers}
    signs_outlined = {finding.overlay for finding in signs}
    return Pictures(main, rest, _close_ups(main[0], held, image, signs_outlined), legend(held, displayed, signs_outlined))


def legend(masks: Mapping[str, Array], displayed: set[int], signs: Collection[str]) -> tuple[Entry, ...]:
    """A line for each mask; ``displayed``: the numbers of those in some panel. signs : names of those that outline a finding."""
    entries = []
    for number, (name, colour) in enumerate(colours(list(masks)).items()):
        remark = "" if number in displayed else "not in the displayed slices" if np.any(masks[name]) else "nothing outlined"
        entries.append(Entry(name, colour, _DASHES[number // len(COLOURS) % len(_DASHES)], remark, name in signs))
    return tuple(entries)


class _Maker:
    """Makes panels of one image within the page's budget of bytes."""

    def __init__(self, image: Image, masks: Mapping[str, Array], findings: Sequence[Finding], panels: int) -> None:
        self._image, self._masks, self._findings = image, masks, findings
        self._range = display_range(image)
        self._boxes = [finding_box(finding, masks, image.spatial_shape) for finding in findings]
        self._picture_bytes = _PICTURE_BYTES // panels
        self._path_characters = _PATH_CHARACTERS // (panels * max(1, len(masks)))

    def panel(self, ident: str, plane: Plane) -> Panel:
        pixels = to_pixels(plane.cut(channels_last(self._image)), *self._range)
        layers = self._layers(plane)
        spent = sum(len(layer.uri) for layer in layers)
        uri, lossless = data_uri(pixels, max(self._picture_bytes - spent, _LEAST_PICTURE_BYTES))
        height, width = pixels.shape[:2]
        caption = _caption(plane, self._image)
        return Panel(ident, caption, plane, width, height, uri, lossless, layers, self._frames(plane))

    def _layers(self, plane: Plane) -> tuple[Layer, ...]:
        layers = []
        for number, (name, colour) in enumerate(colours(list(self._masks)).items()):
            mask = plane.cut(self._masks[name])
            if not mask.any():
                continue
            # An outline takes at least two characters for each of its corners; do not even draw one that cannot fit.
            if _turns(mask) * 4 <= self._path_characters and len(path := outline(mask)) <= self._path_characters:
                layers.append(Layer(number, path, ""))
            else:
                layers.append(Layer(number, "", _mask_uri(mask, colour)))
        return tuple(layers)

    def _frames(self, plane: Plane) -> tuple[Frame, ...]:
        frames: list[Frame] = []
        for number, finding in enumerate(self._findings):
            box = self._boxes[number]
            rectangle = plane.rectangle(box, self._image.spatial_shape) if box is not None else None
            if rectangle is not None and len(frames) < _MOST_FRAMES:
                top, left, bottom, right = rectangle
                sides = left, top, right - left, bottom - top
                frames.append(
                    Frame(
                        number,
                        finding.label,
                        finding.probability,
                        *sides,
                        finding.overlay in self._masks or finding.kind == MEASURE,
                    )
                )
        return tuple(frames)


def finding_box(finding: Finding, masks: Mapping[str, Array], shape: tuple[int, ...]) -> Box | None:
    """The box of a finding that lies on a grid of ``shape``; else that around its mask; None without either."""
    if finding.box is not None:
        return finding.box if len(finding.box.lower) == len(shape) else None
    return Box.around(masks[finding.overlay]) if finding.overlay in masks else None


def _close_ups(panel: Panel, masks: Mapping[str, Array], image: Image, signs: Collection[str]) -> tuple[CloseUp, ...]:
    """Of each box without a mask, the most probable first, then of the largest part of each mask in ``signs``, the largest first:
    the first few that are small in their panel.

    A part that lies in another close-up is named there.
    """
    framed = sorted((frame for frame in panel.frames if not frame.traced), key=lambda frame: -(frame.probability or 0))
    names = [list(masks)[layer.number] for layer in panel.layers if list(masks)[layer.number] in signs]
    parts = [(name, panel.plane.cut(masks[name])) for name in names]
    outlined = sorted(((name, *_largest_part(cut)) for name, cut in parts), key=lambda spot: -max(spot[3:]))
    spots = [(frame.caption, frame.left, frame.top, frame.width, frame.height) for frame in framed] + outlined
    down, across = panel.plane.spacing
    scaled = [(label, x * across, y * down, width * across, height * down) for label, x, y, width, height in spots]
    squares: list[tuple[list[str], float, float, float, float]] = []
    for label, x, y, width, height in scaled:
        span = max(width, height)
        holders = (labels for labels, left, top, side, _ in squares if _holds(left, top, side, (x, y, width, height)))
        holder = next(holders, None)
        if holder is not None:
            holder.append(label)
        elif span <= _SMALL * min(panel.displayed_width, panel.displayed_height) and len(squares) < _MOST_CLOSE_UPS:
            side = max(_MARGIN * span, _LEAST_CLOSE_UP * max(down, across))
            squares.append(([label], x + width / 2 - side / 2, y + height / 2 - side / 2, side, span))
    unit = "mm" if image.header.spacing_known else "pixels"
    return tuple(
        CloseUp(
            panel,
            ", ".join(dict.fromkeys(labels)),
            f"{left:.3f} {top:.3f} {side:.3f} {side:.3f}",
            f"{wording.number(span)} {unit}",
        )
        for labels, left, top, side, span in squares
    )


def _holds(left: float, top: float, side: float, spot: tuple[float, float, float, float]) -> bool:
    """Whether a square view shows the whole of a spot (x, y, width, height), and large enough to be visible."""
    x, y, width, height = spot
    inside = left <= x and x + width <= left + side and top <= y and y + height <= top + side
    return inside and max(width, height) >= side / 10


def _largest_part(mask: Array) -> tuple[int, int, int, int]:
    """(left, top, width, height) of a mask's largest connected part; the mask is not empty."""
    from scipy.ndimage import find_objects, label

    parts, _ = label(mask)
    rows, columns = find_objects(parts)[int(np.argmax(np.bincount(parts.ravel())[1:]))]
    return columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start


def _turns(mask: Array) -> int:
    """How often the border turns, at least: the places where the four pixels around a grid point are not two equal pairs."""
    flat = np.pad(mask, 1).astype(np.int8)
    return int(np.count_nonzero(flat[1:, 1:] + flat[:-1, :-1] != flat[1:, :-1] + flat[:-1, 1:]))


def _mask_uri(mask: Array, colour: str) -> str:
    from PIL import Image as Pillow

    indices: Pixels = mask.astype(np.uint8)
    indices[inner_border(mask.astype(bool))] = 2
    pillow = Pillow.fromarray(indices, mode="P")
    pillow.putpalette([0, 0, 0, *rgb(colour), *rgb(colour)])
    buffer = io.BytesIO()
    pillow.save(buffer, "PNG", transparency=bytes((0, 64, 255)), **packing(pillow))
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _caption(plane: Plane, image: Image) -> str:
    if plane.through is None:
        return ""
    last = image.spatial_shape[plane.through] - 1
    tilt = f", oblique by {plane.tilt:.0f}°" if plane.tilt >= _TILTED else ""
    named = "" if plane.name == "slice" else f"{plane.name.capitalize()}{tilt} · "
    return f"{named}slice {plane.index} of 0–{last}".capitalize()
