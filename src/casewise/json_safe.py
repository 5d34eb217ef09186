"""JSON that every reader takes: NumPy's numbers and paths made plain, NaN and infinity made null, odd names escaped."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from casewise.names import legible


def dumps(value: object, indent: int | None = None) -> str:
    """One JSON document of dictionaries, sequences, numbers (NumPy's too), strings, paths and None; keys keep their order."""
    return json.dumps(plain(value), ensure_ascii=False, allow_nan=False, indent=indent)


def plain(value: object) -> object:
    """The same value of JSON's own types; a number that is not finite becomes None. TypeError for what JSON cannot say."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return legible(value)
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, (int, float)):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return legible(str(value))
    if isinstance(value, Mapping):
        return {legible(str(key)): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        entries = sorted(value, key=str) if isinstance(value, (set, frozenset)) else value
        return [plain(entry) for entry in entries]
    msg = f"{type(value).__name__} has no form in JSON."
    raise TypeError(msg)
