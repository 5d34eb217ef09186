"""An image with its findings drawn in, or with a heat map over it, and the headline below: what a secondary capture holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from casewise.finding import FINDING, MEASURE, Finding
from casewise.image import Array, Image
from casewise.reporting.dicom_about import NOT_VERIFIED, SUPERSEDES, About
from casewise.reporting.dicom_places import largest_slice, mask_of, rectangle
from casewise.reporting.heat import heated
from casewise.reporting.lettering import ascii_of, cut, font, wrapped
from casewise.reporting.pictures import Pixels, channels_last, colours, display_range, thumbnail, to_pixels
from casewise.reporting.planes import Plane, planes
from casewise.summary import spoken

_LONGEST, _SHORTEST = 2048, 512  # pixels of a picture's longer side
_SLICES, _SLICE_SIDE = 4, 768
_MOST_LINES = 12  # of findings below the picture
_ANATOMY = {"R": "R", "L": "L", "A": "A", "P": "P", "S": "H", "I": "F"}
_OPPOSITE = {"L": "R", "R": "L", "H": "F", "F": "H", "A": "P", "P": "A"}


def drawn_findings(image: Image, findings: Sequence[Finding], masks: Mapping[str, Array], about: About) -> Pixels:
    """(rows, columns, 3): the image as it is displayed from the first pixel on, masks outlined, boxes framed; below it the text.

    A picture is as large as the film, 2,048 pixels at most and 512 at least on its longer side. Of a volume: its ``slices``, side
    by side. masks : by ``Finding.mask_name``, on the image's grid.
    """
    shown = [one for one in findings if one.kind in (FINDING, MEASURE)]
    placed = [one for one in shown if one.box is not None or mask_of(one, masks) is not None]
    palette = colours(list(dict.fromkeys(one.overlay for one in placed)))
    plane = shown_plane(image)
    tiles = [_tile(image, plane.at(index), placed, masks, palette) for index in slices(image, findings, masks)]
    across = min(2, len(tiles))
    rows = [tiles[first : first + across] for first in range(0, len(tiles), across)]
    rows[-1] += [np.zeros_like(tiles[0])] * (across - len(rows[-1]))
    picture = np.concatenate([np.concatenate(row, axis=1) for row in rows])
    legend = [(spoken(one), palette[one.overlay]) for one in placed]
    return np.concatenate([picture, _text(picture.shape[1], about.headline, legend, about)])


def drawn_map(image: Image, title: str, values: Array, about: About) -> Pixels:
    """(rows, columns, 3): a picture as it is displayed with a map (rows, columns), 0 or more, over it, above the text."""
    plane = shown_plane(image)
    step = -(-max(image.spatial_shape) // _LONGEST)
    picture = to_pixels(plane.cut(channels_last(image))[::step, ::step], *display_range(image))
    drawn = thumbnail(heated(picture, plane.cut(values)[::step, ::step]), {}, plane.spacing, _side(picture))
    return np.concatenate([drawn, _text(drawn.shape[1], f"Map of {title}", [], about)])


def shown_plane(image: Image) -> Plane:
    """The plane of the slices as they were made, the way up that it is displayed."""
    if image.spatial_dims == 2:
        return planes(image)[0]
    stored = Plane("slice", (0, 1), (False, False), 2, 0, (image.spacing[0], image.spacing[1]))
    return next((one for one in planes(image) if one.through == 2), stored)


def slices(image: Image, findings: Sequence[Finding], masks: Mapping[str, Array]) -> tuple[int, ...]:
    """Where a volume's findings are largest, the most probable one's first, four at most; else its middle. (0,) of a picture."""
    if image.spatial_dims == 2:
        return (0,)
    found: list[int] = []
    for one in sorted(findings, key=lambda one: (one.kind != FINDING, -(one.probability or 0))):
        mask = mask_of(one, masks)
        if mask is not None:
            found.append(largest_slice(mask))
        elif one.box is not None:
            found.append(rectangle(one.box).index)
    return tuple(dict.fromkeys(found))[:_SLICES] or (image.spatial_shape[2] // 2,)


def sides(image: Image) -> tuple[str, str] | None:
    """Where the rows and the columns of the drawn picture run to in the patient (L, R, A, P, H, F); None where it is not known."""
    plane = shown_plane(image)
    if plane.edges[1] and plane.edges[3]:
        return _ANATOMY[plane.edges[1]], _ANATOMY[plane.edges[3]]
    if image.header.directions is None or image.spatial_dims != 2:
        return None
    along_row, along_column = image.header.directions  # where the second, and where the first axis of the array runs to
    towards = [(along_column, along_row)[axis] for axis in plane.axes]
    down, right = (_OPPOSITE[one] if flipped else one for one, flipped in zip(towards, plane.flipped, strict=True))
    return right, down


def _side(picture: Pixels) -> int:
    return max(_SHORTEST, min(_LONGEST, int(max(picture.shape[:2]))))


def _tile(
    image: Image, plane: Plane, findings: Sequence[Finding], masks: Mapping[str, Array], palette: Mapping[str, str]
) -> Pixels:
    """(rows, columns, 3) of a cut in true proportions."""
    from PIL import Image as Pillow
    from PIL import ImageDraw

    picture = to_pixels(plane.cut(channels_last(image)), *display_range(image))
    held = [(one.overlay, mask_of(one, masks)) for one in findings]
    outlined = {name: plane.cut(np.greater(mask, 0)) for name, mask in held if mask is not None}
    side = _side(picture) if image.spatial_dims == 2 else _SLICE_SIDE
    drawn = Pillow.fromarray(thumbnail(picture, outlined, plane.spacing, side, palette))
    scale = drawn.height / picture.shape[0], drawn.width / picture.shape[1]
    draw = ImageDraw.Draw(drawn)
    for one in findings:
        framed = plane.rectangle(one.box, image.spatial_shape) if one.box is not None and mask_of(one, masks) is None else None
        if framed is not None:
            top, left, bottom, right = framed
            frame = (left * scale[1], top * scale[0], right * scale[1] - 1, bottom * scale[0] - 1)
            draw.rectangle(frame, outline=palette[one.overlay], width=max(1, side // 400))
    return np.asarray(drawn)


def _text(width: int, headline: str, legend: Sequence[tuple[str, str]], about: About) -> Pixels:
    """(rows, width, 3): the headline, a line for each finding drawn beside its colour, and that nobody has verified it."""
    from PIL import Image as Pillow
    from PIL import ImageDraw

    size = max(13, width // 60)
    large, small, line, edge = font(round(size * 1.25)), font(size), round(size * 1.5), size
    head = wrapped(ascii_of(headline), large, width - 2 * edge)
    more = [(f"and {len(legend) - _MOST_LINES} more", "#ffffff")] if len(legend) > _MOST_LINES else []
    lines = [*legend[:_MOST_LINES], *more]
    foot = [*([SUPERSEDES] if about.superseded else []), *about.failed, NOT_VERIFIED]
    below = [part for said in foot for part in wrapped(ascii_of(said), small, width - 2 * edge)]
    strip = Pillow.new("RGB", (width, 2 * edge + round(line * 1.25) * len(head) + line * (len(lines) + len(below))))
    draw, y = ImageDraw.Draw(strip), edge
    for said in head:
        draw.text((edge, y), said, "#ffffff", large)
        y += round(line * 1.25)
    for said, colour in lines:
        draw.rectangle((edge, y + 2, edge + size - 4, y + size - 2), colour)
        draw.text((2 * edge + size // 2, y), cut(ascii_of(said), small, width - 4 * edge), "#ffffff", small)
        y += line
    for said in below:
        draw.text((edge, y), said, "#F0E442", small)
        y += line
    return np.asarray(strip)
