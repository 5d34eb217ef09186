"""The demonstration: the whole way of an image, on real images that come inside installed packages."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from casewise.demo.running import run
    from casewise.demo.telling import describe

__all__ = ["describe", "run"]

# Loaded when first used: the simulation alone needs neither torch nor an archive.
_HOME = {"run": "casewise.demo.running", "describe": "casewise.demo.telling"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        msg = f"module 'casewise.demo' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(_HOME[name]), name)
