"""A model outlines its structures in an image by itself, if the image is of the kind that it was made for."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt

from casewise.image import Image
from casewise.models.listing import SHIPPED
from casewise.server.compat.monailabel.offers import Offer

Mask = npt.NDArray[np.bool_]
_CHEST = "chest_regions"
_lock = threading.Lock()  # one prediction at a time: each takes all the cores that there are


def segment(offer: Offer, image: Image) -> dict[str, Mask]:
    """Structure → (*spatial) bool on the image's grid, in the order of their values; a structure that was not seen is empty.

    Raises CasewiseError, one sentence, for an image of another kind.
    """
    folder = offer.folder
    if folder is None:
        return {}
    with _lock:
        found = _chest(image) if _is_chest(folder) else _predicted(folder, image)
    empty = np.zeros(image.spatial_shape, bool)
    return {**{label: found.get(label, empty) for label in offer.labels}, **found}


def _is_chest(folder: Path) -> bool:
    return folder == SHIPPED / _CHEST


def _chest(image: Image) -> dict[str, Mask]:
    """Lungs and heart; the lungs bear other names where nothing distinguishes their sides."""
    from casewise.chest import regions

    return dict(regions(image).disjoint)


def _predicted(folder: Path, image: Image) -> dict[str, Mask]:
    if folder.parent == SHIPPED:
        return _by_shipped(folder, image)
    from casewise.models.model import Model

    return dict(Model.load(folder).predict(image).masks())


def _by_shipped(folder: Path, image: Image) -> dict[str, Mask]:
    from casewise.applications.intended import Intended
    from casewise.applications.shipped import CATALOGUE, ShippedApplication
    from casewise.models.shipped import load

    application = next((name for name, shipped in CATALOGUE.items() if shipped.model == folder.name), None)
    if application is not None:
        ShippedApplication(application).refuse(image)
    elif (intended := Intended.load(folder)) is not None:
        intended.check(image, folder.name)
    return dict(load(folder.name).predict(image).masks())
