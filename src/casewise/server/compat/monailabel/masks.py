"""The masks that count: read from the archive for one person, and written there as theirs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from casewise.archive import Archive
from casewise.image import Image
from casewise.label_map import LabelMap
from casewise.server.access import Person
from casewise.server.label_names import names_for, seen_by

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
) -> None:
    """Keep masks (*spatial) of one person; beside another's mask of the same structure, not in its place."""
    about = {"how": HOW, "client": "monailabel", "user": person.name, **origin}
    archive.add_masks(key, image, masks, origin=about, names=names_for(person.name))
