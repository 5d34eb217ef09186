"""The masks that count: read from the archive for one person, and written there as theirs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from casewise.archive import Archive
from casewise.image import Image
from casewise.label_map import LabelMap
from casewise.server.access import Person

_BY = "@"  # structure@user: the mask of another person beside the first one's
HOW = "interactive"  # a person made it


def names_for(names: list[str], person: str) -> dict[str, str]:
    """Structure → the name of its mask in the archive that ``person`` works on: their own where there are several."""
    plain = {name: name for name in names if _BY not in name}
    own = {name.rpartition(_BY)[0]: name for name in names if name.rpartition(_BY)[2] == person and _BY in name}
    return {**plain, **own}


def masks_of(archive: Archive, key: str, image: Image, person: str) -> LabelMap:
    """The archive's masks of an image, as this person sees them, on its own grid; overlapping ones stay whole."""
    case = archive.case(key)
    names = names_for(list(case.load_masks), person)
    return LabelMap.like({structure: case.load_masks[name]() for structure, name in names.items()}, image)


def accept(
    archive: Archive,
    key: str,
    image: Image,
    masks: Mapping[str, npt.NDArray[np.bool_]],
    person: Person,
    origin: Mapping[str, object],
) -> None:
    """Keep masks (*spatial) of one person; beside another's mask of the same structure, not in its place."""
    about = {"how": HOW, "client": "monailabel", "user": person.name, **origin}
    archive.add_masks(key, image, {label_name(archive, key, name, person.name): mask for name, mask in masks.items()}, origin=about)
