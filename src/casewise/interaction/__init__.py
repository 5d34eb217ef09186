"""Interactive segmentation: a box, then strokes, in pictures and volumes, of objects that no model was trained on."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from casewise.interaction.fine_tuning import FineTuning
    from casewise.interaction.session import InteractiveSegmentation

__all__ = ["FineTuning", "InteractiveSegmentation"]

# Loaded when first used: torch takes seconds to import.
_HOME = {"FineTuning": "casewise.interaction.fine_tuning", "InteractiveSegmentation": "casewise.interaction.session"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        msg = f"module 'casewise.interaction' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(_HOME[name]), name)
