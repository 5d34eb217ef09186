"""The changes that must not move an image to another category: another size, compression, polarity and padding."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from casewise.routing.degradation import recompressed, resized
from casewise.routing.views import View, normalised

CHANGES: dict[str, Callable[[View], View]] = {
    "resized to 64 px": lambda view: resized(view, 64),
    "resized to 40 px and back": lambda view: resized(resized(view, 40), 128),
    "JPEG, quality 50": lambda view: recompressed(view, 50),
    "JPEG, quality 15": lambda view: recompressed(view, 15),
    "inverted": lambda view: 1 - view,
    "padded by a fifth, black": lambda view: _padded(view, 0.0),
    "padded by a fifth, white": lambda view: _padded(view, 1.0),
    "turned by 90°": lambda view: np.rot90(view),
    "a narrower window": lambda view: np.clip((view - 0.15) / 0.6, 0, 1),
    "a darker display": lambda view: view**1.6,
    "64 px, JPEG 30, padded": lambda view: recompressed(_padded(resized(view, 64), 0.0), 30),
}


def changed(view: View, name: str) -> View:
    """``view`` after the change, as ``views`` would make it of the changed file."""
    return normalised(CHANGES[name](view))


def _padded(view: View, value: float) -> View:
    rows, columns = (max(1, round(0.1 * n)) for n in view.shape[:2])
    return np.pad(view, ((rows, rows), (columns, columns), *[(0, 0)] * (view.ndim - 2)), constant_values=value)
