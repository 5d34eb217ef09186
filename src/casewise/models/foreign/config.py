"""A MONAI bundle's configuration read as plain values. Its expressions are Python, and none is ever evaluated.

Those of which :mod:`casewise.models.foreign.expressions` knows the text stand for their value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from casewise.errors import ModelError
from casewise.models.foreign.expressions import UnknownError, value_of

_DEEPEST = 30  # references that go further than this go in a circle
_MOST_VALUES = 100_000  # that references may be multiplied to
_MOST_BYTES = 16 << 20


class NotPlainError(ModelError):
    """A place of the configuration whose value only running code would give."""


class Config:
    """``configs/inference.json`` (or .yaml) of a bundle."""

    def __init__(self, document: Mapping[str, Any], origin: Path) -> None:
        self.document, self.origin = document, origin
        self._left, self._inside = _MOST_VALUES, 0

    @classmethod
    def read(cls, bundle: Path) -> Config:
        """Raises ModelError where there is none or where it cannot be read."""
        for name in ("inference.json", "inference.yaml", "inference.yml"):
            path = bundle / "configs" / name
            if path.is_file():
                return cls(read_mapping(path), path)
        msg = f"{bundle} has no configs/inference.json, which names a bundle's network; download the whole bundle again."
        raise ModelError(msg)

    def raw(self, value: Any) -> Any:
        """``value`` itself, or what a reference (``@a#b``, ``@a::b``) or a known expression stands for; its parts are left as they
        are, and so is any other expression.
        """
        for _ in range(_DEEPEST):
            if not isinstance(value, str) or value[:1] not in ("@", "$"):
                return value
            if value.startswith("@"):
                value = self._at(value)
                continue
            try:
                value = value_of(value, self._follow)
            except UnknownError:
                return value
        msg = f"The references in {self.origin} go in a circle at {value!r}."
        raise NotPlainError(msg)

    def plain(self, value: Any, depth: int = 0) -> Any:
        """``value`` with every reference resolved. Raises NotPlainError for an expression, a macro or an object to be made."""
        self._left -= 1
        if depth > _DEEPEST or self._left < 0:
            msg = f"The values in {self.origin} are nested too deeply, or too many, to be settings."
            raise ModelError(msg)
        value = self.raw(value)
        if isinstance(value, str) and value[:1] in ("$", "%"):
            msg = f"{self.origin} has the code {value[:80]!r}, which casewise never executes; write the value that it gives."
            raise NotPlainError(msg)
        if isinstance(value, Mapping):
            if "_target_" in value:
                msg = f"{self.origin} makes an object ({value['_target_']!r}) where casewise takes plain values alone."
                raise NotPlainError(msg)
            return {key: self.plain(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list):
            return [self.plain(item, depth + 1) for item in value]
        return value

    def arguments(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """The plain arguments of a ``_target_``."""
        return {key: self.plain(item) for key, item in value.items() if not re.fullmatch(r"_\w+_", key)}

    def _follow(self, reference: str) -> Any:
        """What an expression refers to, which may be an expression again."""
        self._inside += 1
        try:
            if self._inside > _DEEPEST:
                raise NotPlainError(f"The references in {self.origin} go in a circle at {reference!r}.")
            return self.raw(reference)
        finally:
            self._inside -= 1

    def _at(self, reference: str) -> Any:
        place: Any = self.document
        for step in re.split("#|::", reference[1:]):
            if isinstance(place, Mapping) and step in place:
                place = place[step]
            elif isinstance(place, list) and step.isdigit() and int(step) < len(place):
                place = place[int(step)]
            else:
                msg = f"{self.origin} refers to {reference!r}, which is not there or is computed by code; write the value itself."
                raise NotPlainError(msg)
        return place


def read_mapping(path: Path) -> Mapping[str, Any]:
    """The object in a JSON or YAML file. Raises ModelError where it cannot be read."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            msg = f"{path} has {path.stat().st_size:,} bytes; a bundle's settings have at most {_MOST_BYTES:,}."
            raise ModelError(msg)
        text = path.read_text(encoding="utf-8")
        document = json.loads(text) if path.suffix == ".json" else _yaml(text, path)
    except (OSError, ValueError, RecursionError) as error:
        msg = f"{path} cannot be read: {' '.join(str(error).split())[:200]}; download the bundle again."
        raise ModelError(msg) from error
    if not isinstance(document, Mapping):
        msg = f"{path} holds a {type(document).__name__} where a bundle has an object of settings; download the bundle again."
        raise ModelError(msg)
    return document


def _yaml(text: str, path: Path) -> Any:
    try:
        import yaml
    except ImportError as error:
        msg = f"{path} is YAML, and PyYAML is not installed; run `pip install pyyaml`."
        raise ModelError(msg) from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
