"""Under which name one person's mask of a structure stands, where several people outline it in one image: ``structure@user``.

A person's own masks of a structure are ``structure`` where its origin names them, and ``structure@user``. They have both where an
admin chose theirs to count. What they accept is then kept under both, so that neither is an earlier state of the other.
"""

from __future__ import annotations

from collections.abc import Iterable

from casewise.archive import Archive
from casewise.archive.label_rows import Held, Naming, masks_in
from casewise.errors import UsageError

_BY = "@"


def check_structure(name: str) -> None:
    """Raises UsageError for a name under which a mask would be taken for another person's."""
    if _BY in name:
        msg = (
            f"A structure's name has no {_BY}: what follows it says whose mask it is, and casewise writes that itself. "
            f"Name the structure alone; got {name[:100]!r}."
        )
        raise UsageError(msg)


def names_for(user: str) -> Naming:
    """For :meth:`Archive.add_masks`: the names of what ``user`` accepts. Another person's mask is never replaced."""

    def names(structure: str, held: Held) -> list[str]:
        return _own(held, structure, user) or [f"{structure}{_BY}{user}" if structure in held else structure]

    return names


def seen_by(archive: Archive, key: str, user: str) -> dict[str, str]:
    """Structure → the name of its mask that ``user`` works on: their own that was written last, else the image's."""
    held = masks_in(archive.labels(key))
    return {structure: (_own(held, structure, user) or [structure])[-1] for structure in structures_seen(held, user)}


def seen_of_others(archive: Archive, key: str, user: str) -> list[str]:
    """The structures of which ``user`` has no mask of their own, and sees the image's."""
    held = masks_in(archive.labels(key))
    return [structure for structure in structures(held) if not _own(held, structure, user)]


def structures_seen(names: Iterable[str], user: str) -> list[str]:
    """The structures of which ``user`` sees a mask, among the names of an image's masks."""
    names = list(names)
    own = [name.rpartition(_BY)[0] for name in names if name.rpartition(_BY)[2] == user and _BY in name]
    return list(dict.fromkeys([*structures(names), *own]))


def structures(names: Iterable[str]) -> list[str]:
    """The structures among the names of masks."""
    return [name for name in names if _BY not in name]


def _own(held: Held, structure: str, user: str) -> list[str]:
    """The names of a person's masks of a structure, the one that was written last at the end."""
    theirs = f"{structure}{_BY}{user}"
    return [name for name, label in held.items() if name == theirs or (name == structure and _user(label["origin"]) == user)]


def _user(origin: object) -> object:
    return origin.get("user") if isinstance(origin, dict) else None
