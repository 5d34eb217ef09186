"""The few expressions of published bundles whose value their text alone says. Each is matched as text; none is evaluated."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

_NAME = r"@[A-Za-z_]\w*(?:(?:#|::)\w+)*"
_LITERAL = r"'[^'\\]*'|\[[\d\s.,+-]*\]|[+-]?\d+(?:\.\d+)?"
_REFERENCE = re.compile(rf"\$\s*({_NAME})\s*")
_LENGTH = re.compile(rf"\$\s*len\(({_NAME})\)\s*")
_CHOICE = re.compile(rf"\$\s*({_LITERAL}) if ({_NAME}) else ({_LITERAL})\s*")


class UnknownError(ValueError):
    """The text is none of these expressions."""


def value_of(text: str, follow: Callable[[str], Any]) -> Any:
    """What ``text`` (``$…``) stands for: a reference (``$@a``), ``$len(@a)``, or ``$LITERAL if @a else LITERAL``.

    follow : the value that a reference leads to. Raises UnknownError for every other text.
    """
    if found := _REFERENCE.fullmatch(text):
        return found[1]
    if found := _LENGTH.fullmatch(text):
        counted = follow(found[1])
        if isinstance(counted, list | Mapping):
            return len(counted)
    if found := _CHOICE.fullmatch(text):
        chosen = follow(found[2])
        if isinstance(chosen, bool):
            return _literal(found[1] if chosen else found[3])
    raise UnknownError(text)


def _literal(text: str) -> Any:
    try:
        return text[1:-1] if text.startswith("'") else json.loads(text)
    except ValueError as error:
        raise UnknownError(text) from error
