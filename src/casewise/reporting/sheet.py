"""The contact sheet: an image and the cases most like it, as one PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from casewise import wording
from casewise.files import output
from casewise.image import Array, Image
from casewise.reporting.lettering import ascii_of, cut, font, wrapped
from casewise.reporting.pictures import Pixels, colours
from casewise.reporting.similar import SimilarPicture, terms, tile

if TYPE_CHECKING:
    from PIL.Image import Image as Sheet
    from PIL.ImageDraw import ImageDraw

__all__ = ["SimilarPicture", "contact_sheet"]

_TILE, _QUERY = 232, 2 * 232 + 92
_GAP, _EDGE, _LINE = 16, 28, 19
_TEXT = 4 * _LINE
_COLUMNS = 5
_PAPER, _INK, _SOFT, _STRIP = "#ffffff", "#16202a", "#55616d", "#eef2f5"


def contact_sheet(
    query: Image,
    cases: Sequence[SimilarPicture],
    path: Path,
    common: Sequence[str] = (),
    title: str = "Similar cases",
    *,
    masks: Mapping[str, Array] | None = None,
) -> Path:
    """Write a PNG: the image at the left, the similar cases in the order given beside it, what they have in common below.

    masks : of the query, by name, each (*spatial) bool on its grid; outlined like those of the cases. A volume is displayed by
    the slice that holds most of its masks (the middle one without any).

    Raises CasewiseError for a mask off its image's grid and for a path that cannot be written.
    """
    from PIL import Image as Pillow
    from PIL import ImageDraw

    # Two rows beside the query as long as they hold all.
    columns = min(_COLUMNS, max(1, -(-len(cases) // 2)))
    rows = max(1, -(-len(cases) // columns))
    grid_left = _EDGE + _QUERY + 2 * _GAP
    width = grid_left + columns * (_TILE + _GAP) - _GAP + _EDGE
    palette = colours(_mask_names(masks or {}, cases))
    top = _EDGE + 40 + (26 if palette else 0)
    pitch = _TILE + _TEXT + _GAP
    bottom = top + max(rows * pitch, _QUERY + _LINE + _GAP)
    body = font(15)
    sentences = [line for sentence in common for line in wrapped(f"- {ascii_of(sentence)}", body, width - 2 * _EDGE - 2 * _GAP)]
    strip = 2 * _GAP + _LINE * (1 + len(sentences)) + 6 if sentences else 0

    sheet = Pillow.new("RGB", (width, bottom + strip + _EDGE), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_EDGE, _EDGE - 6), cut(ascii_of(title), font(24), width - 2 * _EDGE), _INK, font(24))
    if palette:
        _legend(draw, palette, (_EDGE, _EDGE + 34), width - _EDGE)
    _paste(sheet, tile(query, masks or {}, _QUERY, palette), (_EDGE, top), _QUERY)
    label = f"This image: {query.source.name}" if query.source else "This image"
    _lines(draw, [(label, _INK)], (_EDGE, top + _QUERY + 6), _QUERY)
    for place, picture in enumerate(cases):
        row, column = divmod(place, columns)
        corner = (grid_left + column * (_TILE + _GAP), top + row * pitch)
        _paste(sheet, tile(picture.image, picture.masks, _TILE, palette), corner, _TILE)
        _rank(draw, place + 1, corner)
        _lines(draw, _captions(picture), (corner[0], corner[1] + _TILE + 5), _TILE)
    if sentences:
        draw.rounded_rectangle((_EDGE, bottom, width - _EDGE, bottom + strip), 8, _STRIP)
        draw.text((_EDGE + _GAP, bottom + _GAP - 4), "What these cases have in common", _INK, font(16))
        for place, sentence in enumerate(sentences):
            draw.text((_EDGE + _GAP, bottom + _GAP + 2 + _LINE * (place + 1)), sentence, _INK, body)
    return _save(sheet, path)


def _captions(picture: SimilarPicture) -> list[tuple[str, str]]:
    case = picture.case
    (_, score), *rest = terms(case)
    origin = " | ".join(part for part in (case.site, case.category) if part)
    return [
        (f"score {score}", _INK),
        ("  ".join(f"{name} {figure}" for name, figure in rest), _SOFT),
        (origin, _INK),
        (wording.base_name(case.image), _SOFT),
    ]


def _mask_names(masks: Mapping[str, Array], cases: Sequence[SimilarPicture]) -> list[str]:
    """Every mask's name once, so that a structure has one colour all over the sheet."""
    return list(dict.fromkeys((*masks, *(name for picture in cases for name in picture.masks))))


def _paste(sheet: Sheet, drawn: Pixels, corner: tuple[int, int], side: int) -> None:
    """Put a tile into the middle of a black square."""
    from PIL import Image as Pillow

    square = Pillow.new("RGB", (side, side))
    square.paste(Pillow.fromarray(drawn), ((side - drawn.shape[1]) // 2, (side - drawn.shape[0]) // 2))
    sheet.paste(square, corner)


def _legend(draw: ImageDraw, palette: Mapping[str, str], corner: tuple[int, int], right: int) -> None:
    x, y = corner
    for name, colour in palette.items():
        text = ascii_of(name)
        length = 22 + round(font(14).getlength(text)) + 20
        if x + length > right:
            return
        draw.rectangle((x, y + 3, x + 14, y + 13), colour, _INK)
        draw.text((x + 21, y), text, _INK, font(14))
        x += length


def _rank(draw: ImageDraw, rank: int, corner: tuple[int, int]) -> None:
    text = str(rank)
    length = round(font(15).getlength(text))
    x, y = corner[0] + 6, corner[1] + 6
    draw.rounded_rectangle((x, y, x + max(length + 12, 22), y + 22), 11, "#16202a", "#ffffff")
    draw.text((x + max(length + 12, 22) / 2, y + 11), text, "#ffffff", font(15), anchor="mm")


def _lines(draw: ImageDraw, lines: Sequence[tuple[str, str]], corner: tuple[int, int], width: int) -> None:
    y = corner[1]
    for text, ink in lines:
        if text:
            draw.text((corner[0], y), cut(ascii_of(text), font(14), width), ink, font(14))
            y += _LINE - 1


def _save(sheet: Sheet, path: Path) -> Path:
    with output(path, "The contact sheet") as beside:
        sheet.save(beside, "PNG")
    return path
