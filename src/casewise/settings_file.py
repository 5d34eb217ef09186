"""A file of settings in TOML: checked to its last key, its paths beside it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeVar

import msgspec

from casewise.errors import UsageError

_Settings = TypeVar("_Settings", bound=msgspec.Struct)


def read_settings(path: Path, kind: type[_Settings]) -> _Settings:
    """The settings of a file, a ``kind`` whose keys all have a default; the defaults where there is no file.

    A relative path in it begins at the file's folder. Raises UsageError, one sentence.
    """
    if not path.exists():
        return kind()

    def place(_: type, text: object) -> Path:  # the only type that msgspec does not know
        if not isinstance(text, str) or not text:
            raise ValueError(f"{text!r} is no path")
        return path.parent / Path(text).expanduser()

    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), kind, dec_hook=place)
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be used: {error}. Mend it, or remove it for the defaults."
        raise UsageError(msg) from error
