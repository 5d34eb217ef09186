"""Several people's masks of one structure of an image: how far they agree, and which of them counts.

A mask is kept under the structure's name, or under ``structure@user`` where another person's has that name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

from casewise.archive import Archive
from casewise.archive.label_rows import Held, Made, Naming, masks_in
from casewise.errors import UnreadableImageError
from casewise.hashing import combined_key
from casewise.image import Image
from casewise.label_map import Mask
from casewise.server.problems import ConflictError, NotThereError
from casewise.server.schemas.cases import Agreement, MaskBy, Pair

_NOBODY = "imported"  # whose a mask is of which nothing says who drew it
_TRIES = 5


def agreement(archive: Archive, key: str, structure: str) -> Agreement:
    """Of the image ``key``, which the archive has: each two people's masks, of each person the one that was written last.

    Raises NotThereError where it has no mask of the structure.
    """
    held = _held(archive, key, structure)
    masks = {name: _mask(archive, key, name) for name in held}
    lines = [
        MaskBy(
            name=name,
            user=_user(name, label),
            voxels=int(np.count_nonzero(masks[name])),
            final=name == structure,
            chosen_by=_text(_origin(label).get("chosen_by")),
            version=_version(label),
        )
        for name, label in held.items()
    ]
    # Whose mask was chosen has it under two names; what is imported and nobody's is compared like another person's.
    newest = {_user(name, label) or name: name for name, label in held.items()}
    compared = [name for name in masks if name in newest.values()]
    pairs = [Pair(first=a, second=b, dice=_dice(masks[a], masks[b])) for a, b in combinations(compared, 2)]
    return Agreement(structure=structure, masks=lines, pairs=pairs)


def choose(archive: Archive, key: str, image: Image, structure: str, name: str, person: str, seen: str | None = None) -> None:
    """Let the mask ``name`` count as the structure's. The one that did so before stays under its person's name.

    seen : the version of the mask that the person has looked at. Raises NotThereError for a mask that is not one of the
    structure's, ConflictError where it is another version by now, or people go on accepting others meanwhile.
    """
    for _ in range(_TRIES):
        held = _held(archive, key, structure)
        if name not in held:
            raise NotThereError(f"The image has no mask {name[:100]!r} of {structure[:100]}; it has {', '.join(held)}.")
        if seen is not None and seen != _version(held[name]):
            raise ConflictError(f"The mask {name[:100]!r} has been changed since you looked at it; look at it again, then choose.")
        if name == structure:
            return
        made = _chosen(archive, key, structure, name, held, person)
        try:
            archive.add_masks(key, image, made, names=_unless_changed(structure, held))
        except _ChangedError:
            continue
        return
    raise ConflictError(f"The masks of {structure[:100]} are being changed; look at them, and choose again.")


class _ChangedError(Exception):
    """The masks are others than those that were read."""


def _chosen(archive: Archive, key: str, structure: str, name: str, held: Held, person: str) -> dict[str, Made]:
    """What is written: the mask that is to count, and under its person's name the one that did, unless a later one is there."""
    origin = {**_origin(held[name]), "user": _user(name, held[name]), "chosen_by": person}
    made = {structure: Made(_mask(archive, key, name), origin)}
    before = held.get(structure)
    if before is not None:
        theirs = f"{structure}@{_user(structure, before) or _NOBODY}"
        order = list(held)
        if theirs not in held or order.index(theirs) < order.index(structure):
            kept = {about: value for about, value in _origin(before).items() if about != "chosen_by"}
            made[theirs] = Made(_mask(archive, key, structure), kept)
    return made


def _unless_changed(structure: str, seen: Held) -> Naming:
    """Each mask's own name, as long as the structure's masks are those that were seen."""

    def names(name: str, now: Held) -> list[str]:
        if _of(structure, now) != seen:
            raise _ChangedError
        return [name]

    return names


def _held(archive: Archive, key: str, structure: str) -> dict[str, Mapping[str, Any]]:
    """Name → label of all masks of the structure."""
    found = _of(structure, masks_in(archive.labels(key)))
    if not found:
        raise NotThereError(f"The image has no mask of {structure[:100]!r}.")
    return found


def _of(structure: str, masks: Held) -> dict[str, Mapping[str, Any]]:
    return {name: label for name, label in masks.items() if name == structure or name.startswith(f"{structure}@")}


def _mask(archive: Archive, key: str, name: str) -> Mask:
    try:
        return archive.case(key).load_masks[name]()
    except (UnreadableImageError, OSError) as error:
        raise NotThereError(f"The file of the mask {name[:100]!r} cannot be read any more.") from error


def _origin(label: Mapping[str, Any]) -> dict[str, Any]:
    origin = label["origin"]
    return origin if isinstance(origin, dict) else {}


def _user(name: str, label: Mapping[str, Any]) -> str | None:
    return _text(_origin(label).get("user")) or (name.partition("@")[2] or None)


def _version(label: Mapping[str, Any]) -> str:
    """Another one each time that the mask is written."""
    return combined_key([json.dumps([label["path"], label["member"], label["value"], label["origin"]], sort_keys=True)])


def _dice(first: Mask, second: Mask) -> float:
    total = int(first.sum()) + int(second.sum())
    return round(2 * int((first & second).sum()) / total, 4) if total else 1.0


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
