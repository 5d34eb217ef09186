"""The masks that count: read from the archive for one person, and written there as theirs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from casewise.archive import Archive
from casewise.errors import UnreadableImageError
from casewise.image import Image
from casewise.label_map import LabelMap
from casewise.server.access import Person
from casewise.server.label_names import check_structure, names_for, seen_by, seen_of_others

HOW = "interactive"  # a person made it


def masks_of(archive: Archive, key: str, image: Image, person: str) -> LabelMap:
    """The archive's masks of an image, as this person sees them, on its own grid; overlapping ones stay whole."""
    names, case = seen_by(archive, key, person), archive.case(key)  # in this order: a mask that was accepted meanwhile is there
    return LabelMap.like({structure: case.load_masks[name]() for structure, name in names.items()}, image)


def accept(
    archive: Archive,
    key: str,
    image: Image,
    masks: Mapping[str, npt.NDArray[np.bool_]],
    person: Person,
    origin: Mapping[str, object],
) -> list[str]:
    """Keep masks (*spatial) of one person; beside another's mask of the same structure, not in its place. Returns the structures.

    Clients send whatever an image shows. A mask that is another's to the voxel is not kept as this person's: they left it alone.
    Raises UsageError for a structure's name that would make a mask another person's; none is kept then.
    """
    for structure in masks:
        check_structure(structure)
    about = {"how": HOW, "client": "monailabel", "user": person.name, **origin}
    others, held = seen_of_others(archive, key, person.name), archive.case(key).load_masks
    drawn = {one: mask for one, mask in masks.items() if one not in others or not _same(mask, held[one])}
    archive.add_masks(key, image, drawn, origin=about, names=names_for(person.name))
    return list(drawn)


def _same(mask: npt.NDArray[np.bool_], load: Callable[[], npt.NDArray[np.bool_]]) -> bool:
    try:
        return np.array_equal(mask, load())
    except (UnreadableImageError, OSError):  # its file has gone
        return False
