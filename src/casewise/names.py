"""Names as people and files give them: one form for comparing, one that every file and database takes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence


def nfc(text: str) -> str:
    """The one form in which names are compared: a decomposed name (macOS) is the same as a composed one."""
    return unicodedata.normalize("NFC", text)


def legible(text: str) -> str:
    r"""Text that every reader takes: what is no text (bytes of a file's name that are not UTF-8) is written ``\xff``."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join(_legible(letter) for letter in text)
    return text


def _legible(letter: str) -> str:
    if "\udc80" <= letter <= "\udcff":
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return f"\\u{ord(letter):04x}" if "\ud800" <= letter <= "\udfff" else letter


def same_structure(text: str) -> str:
    """What is equal for two spellings of one structure: case, blanks and underscores do not count."""
    return re.sub(r"[\s_]+", "", nfc(text).casefold())


def numbered(names: Sequence[str]) -> tuple[str, ...]:
    """The names, those that come more than once with their numbers behind: ``noNorm 1``, ``noNorm 2``."""
    plain = [name.casefold() for name in names]
    return tuple(
        f"{name} {plain[: place + 1].count(name.casefold())}" if plain.count(name.casefold()) > 1 else name
        for place, name in enumerate(names)
    )


def same_category(first: str, second: str) -> bool:
    """Whether two names of a category are the same but for capitals, blanks, ``-`` and ``_``."""
    return plain_category(first) == plain_category(second)


def plain_category(name: str) -> str:
    """What is equal for two spellings of one category: capitals, blanks, ``-`` and ``_`` do not count."""
    return re.sub(r"[\s_-]+", "", name).casefold()
