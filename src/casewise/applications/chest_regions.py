"""The regions of a chest radiograph, which several applications start from: outlined once for all that are given the image."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from casewise.chest import Regions, regions
from casewise.errors import CasewiseError
from casewise.image import Image

# Of the images that this process still holds; a text is the reason for which one was refused.
_KEPT: WeakKeyDictionary[Image, Regions | str] = WeakKeyDictionary()


def chest_regions(image: Image, device: str) -> Regions:
    """As :func:`casewise.chest.regions`, but computed (or refused) once for an image."""
    found = _KEPT.get(image)
    if found is None:
        try:
            found = regions(image, device)
        except CasewiseError as error:
            found = str(error)
        keep(image, found)
    if isinstance(found, str):
        raise CasewiseError(found)
    return found


def keep(image: Image, found: Regions | str) -> None:
    """Let :func:`chest_regions` answer with these."""
    _KEPT[image] = found
