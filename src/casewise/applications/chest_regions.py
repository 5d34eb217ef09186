"""The regions of a chest radiograph, which several applications start from: outlined once for all that are given the image."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from casewise.chest import Regions, regions
from casewise.errors import CasewiseError
from casewise.image import Image

# Of the images that this process still holds; a text is the reason for which one was refused.
_KNOWN: WeakKeyDictionary[Image, Regions | str] = WeakKeyDictionary()


def chest_regions(image: Image, device: str) -> Regions:
    """As :func:`casewise.chest.regions`, but computed (or refused) once for an image."""
    known = _KNOWN.get(image)
    if known is None:
        try:
            known = regions(image, device)
        except CasewiseError as error:
            known = str(error)
        keep(image, known)
    if isinstance(known, str):
        raise CasewiseError(known)
    return known


def keep(image: Image, known: Regions | str) -> None:
    """Let :func:`chest_regions` answer with these."""
    _KNOWN[image] = known
