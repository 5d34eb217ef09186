"""Text for pictures in the font that comes with Pillow."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

    Font = FreeTypeFont | ImageFont

# The font draws ASCII alone: what it lacks is spelled with what it has.
_SPELLED = str.maketrans({"→": "->", "–": "-", "—": "-", "−": "-", "·": "|", "…": "...", "×": "x", "≥": ">=", "≤": "<=", "µ": "u"})


def font(size: int) -> Font:
    from PIL import ImageFont

    return ImageFont.load_default(size=size)


def ascii_of(text: str) -> str:
    """What the font can draw: accents dropped, other signs as ``?``."""
    plain = unicodedata.normalize("NFKD", text.translate(_SPELLED))
    plain = "".join(sign for sign in plain if not unicodedata.combining(sign))
    return "".join(sign if " " <= sign <= "~" else "?" for sign in plain)


def wrapped(text: str, font: Font, width: int) -> list[str]:
    """Lines of at most ``width`` pixels; the further ones are indented."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(f"  {word}")
    return [cut(line, font, width) for line in lines]


def cut(text: str, font: Font, width: int) -> str:
    """The text, or as much of it with an ellipsis as ``width`` pixels hold."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."
