"""What kind of image an image is, by the shipped router: asked once for an image, and only where nobody routed it before."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from casewise.image import Image

if TYPE_CHECKING:
    from casewise.routing import Router

_KEPT: WeakKeyDictionary[Image, str] = WeakKeyDictionary()


def kind_of(image: Image) -> str:
    """The category that the shipped router takes ``image`` for, or ``unknown``. Raises CasewiseError where it has no views."""
    found = _KEPT.get(image)
    if found is None:
        found = _KEPT[image] = _router().route(image, device="cpu").category
    return found


@cache
def _router() -> Router:
    from casewise.routing import Router

    return Router.load()
