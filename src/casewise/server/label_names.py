"""Under which name one person's mask of a structure stands, where several people outline it in one image: ``structure@user``."""

from __future__ import annotations

from collections.abc import Iterable

from casewise.archive import Archive

_BY = "@"


def label_name(archive: Archive, key: str, structure: str, user: str) -> str:
    """``structure``, or ``structure@user`` where the image has a mask of that name that is not this person's."""
    held = {str(label["name"]): label["origin"] for label in archive.labels(key) if label["kind"] == "mask"}
    origin = held.get(structure)
    theirs = origin is not None and not (isinstance(origin, dict) and origin.get("user") == user)
    return f"{structure}{_BY}{user}" if theirs else structure


def seen_by(names: Iterable[str], user: str) -> dict[str, str]:
    """Structure → the name of its mask that ``user`` works on, of an image's masks: their own where there are several."""
    names = list(names)
    plain = {name: name for name in names if _BY not in name}
    own = {name.rpartition(_BY)[0]: name for name in names if _BY in name and name.rpartition(_BY)[2] == user}
    return {**plain, **own}


def structures(names: Iterable[str]) -> list[str]:
    """The structures among the names of masks."""
    return [name for name in names if _BY not in name]
