"""Several people's masks of one structure of an image: how far they agree, and which of them counts.

A mask is kept under the structure's name, or under ``structure@user`` where another person's has that name.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

from casewise.archive import Archive
from casewise.errors import UnreadableImageError
from casewise.image import Image
from casewise.label_map import Mask
from casewise.server.problems import NotThereError
from casewise.server.schemas.cases import Agreement, MaskBy, Pair

_NOBODY = "imported"  # whose a mask is of which nothing says who drew it


def agreement(archive: Archive, key: str, structure: str) -> Agreement:
    """Of the image ``key``, which the archive has. Raises NotThereError where it has no mask of the structure."""
    origins = _origins(archive, key, structure)
    masks = {name: _mask(archive, key, name) for name in origins}
    lines = [
        MaskBy(
            name=name,
            user=_user(name, origin),
            voxels=int(np.count_nonzero(masks[name])),
            final=name == structure,
            chosen_by=_text(origin.get("chosen_by")),
        )
        for name, origin in origins.items()
    ]
    pairs = [Pair(first=a, second=b, dice=_dice(masks[a], masks[b])) for a, b in combinations(masks, 2)]
    return Agreement(structure=structure, masks=lines, pairs=pairs)


def choose(archive: Archive, key: str, image: Image, structure: str, name: str, person: str) -> None:
    """Let the mask ``name`` count as the structure's. The one that did so before stays under its person's name.

    Raises NotThereError for a mask that is not one of the structure's.
    """
    origins = _origins(archive, key, structure)
    if name not in origins:
        raise NotThereError(f"The image has no mask {name[:100]!r} of {structure[:100]}; it has {', '.join(origins)}.")
    if name == structure:
        return
    chosen, origin = _mask(archive, key, name), origins[name]
    before = origins.get(structure)
    if before is not None:
        theirs = f"{structure}@{_user(structure, before) or _NOBODY}"
        if theirs != name and theirs not in origins:
            archive.add_masks(key, image, {theirs: _mask(archive, key, structure)}, origin=before)
    user = _user(name, origin)
    archive.add_masks(key, image, {structure: chosen}, origin={**origin, "user": user, "chosen_by": person})


def _origins(archive: Archive, key: str, structure: str) -> dict[str, Mapping[str, Any]]:
    """Label → how it was made, of all masks of the structure."""
    found: dict[str, Mapping[str, Any]] = {}
    for label in archive.labels(key):
        name, origin = str(label["name"]), label["origin"]
        if label["kind"] == "mask" and (name == structure or name.startswith(f"{structure}@")):
            found[name] = origin if isinstance(origin, dict) else {}
    if not found:
        raise NotThereError(f"The image has no mask of {structure[:100]!r}.")
    return found


def _mask(archive: Archive, key: str, name: str) -> Mask:
    try:
        return archive.case(key).load_masks[name]()
    except (UnreadableImageError, OSError) as error:
        raise NotThereError(f"The file of the mask {name[:100]!r} cannot be read any more.") from error


def _user(name: str, origin: Mapping[str, Any]) -> str | None:
    return _text(origin.get("user")) or (name.partition("@")[2] or None)


def _dice(first: Mask, second: Mask) -> float:
    total = int(first.sum()) + int(second.sum())
    return round(2 * int((first & second).sum()) / total, 4) if total else 1.0


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
