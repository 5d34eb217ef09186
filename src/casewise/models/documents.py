"""TOML of models as values of types, and one sentence where it is not what the types say."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from casewise.errors import ModelError

T = TypeVar("T")


def read(document: object, kind: type[T], what: str, allowed: str) -> T:
    """``document`` as ``kind``. Raises ModelError, one sentence, where it is not: ``what`` it is, and what is ``allowed``."""
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise ModelError(f"{what} lacks or misspells a setting ({reason(error)}); {allowed}") from error


def reason(error: Exception) -> str:
    """What msgspec says is wrong, the place as TOML names it."""
    return str(error).replace("`$.", "`").replace(" - at `$`", "")
