"""NRRD spaces of three axes and time: what they say of the three, in the words of the same space without time.

ITK turns the patient's axes to LPS in spaces of three axes alone, and takes the time of others for a fourth axis of space.
"""

from __future__ import annotations

import re
from pathlib import Path

from casewise.errors import UnreadableImageError

_TIME = "-time"
_SHORT = {"rast": "ras", "last": "las", "lpst": "lps"}
_VECTOR = re.compile(r"\(([^()]*)\)|none", re.IGNORECASE)
_WORD = re.compile(r'"[^"]*"|\S+')


def without_time(path: Path, fields: dict[str, str]) -> None:
    """Rewrite the fields of a space with time as those of its three axes; the axis along which time runs is of the kind ``time``.

    Raises UnreadableImageError where an axis runs through space and time at once: it is neither of the two.
    """
    space = fields.get("space", "").lower()
    if space not in _SHORT and not space.endswith(_TIME):
        return
    fields["space"] = _SHORT.get(space, space.removesuffix(_TIME))
    over_time = _strip_directions(path, fields) if "spacedirections" in fields else []
    if "spaceorigin" in fields:
        fields["spaceorigin"] = _text(_vector(path, "space origin", fields["spaceorigin"])[:3])
    if "spaceunits" in fields:
        fields["spaceunits"] = " ".join(_WORD.findall(fields["spaceunits"])[:3])
    if over_time:
        _name_kinds(path, fields, over_time)


def _strip_directions(path: Path, fields: dict[str, str]) -> list[int]:
    """Leave of each axis its direction in space; the axes that run along time alone."""
    stripped, over_time = [], []
    for axis, found in enumerate(_VECTOR.finditer(fields["spacedirections"])):
        vector = None if found[1] is None else _vector(path, "space directions", found[0])
        if vector is not None and vector[3] != 0:
            if any(vector[:3]):
                msg = f"{path} has an axis that runs through space and time at once (space directions); save its volumes as files."
                raise UnreadableImageError(msg)
            over_time.append(axis)
            vector = None
        stripped.append("none" if vector is None else _text(vector[:3]))
    fields["spacedirections"] = " ".join(stripped)
    return over_time


def _name_kinds(path: Path, fields: dict[str, str], over_time: list[int]) -> None:
    axes = len(fields["spacedirections"].split())
    kinds = fields["kinds"].split() if "kinds" in fields else ["domain"] * axes
    if len(kinds) != axes:
        raise UnreadableImageError(f"{path} has a damaged header: it has directions of {axes} axes and the kinds of {len(kinds)}.")
    fields["kinds"] = " ".join("time" if axis in over_time else kind for axis, kind in enumerate(kinds))


def _vector(path: Path, name: str, text: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.strip().strip("()").split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 4:
        raise UnreadableImageError(f"{path} has a damaged header: {name} in a space with time is of 4 numbers, not {text[:60]!r}.")
    return numbers


def _text(vector: list[float]) -> str:
    return "(" + ",".join(f"{number:.17g}" for number in vector) + ")"
