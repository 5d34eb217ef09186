"""Models: a network, its weights and its origin; how they are kept, loaded and used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from casewise.models.model import Model
    from casewise.models.prediction import Prediction, blend
    from casewise.models.preparation import Preparation
    from casewise.models.spec import Lineage, Spec

__all__ = ["Lineage", "Model", "Prediction", "Preparation", "Spec", "blend"]

# Loaded when first used: listing models needs no torch, which takes seconds to import.
_HOME = {
    "Lineage": "casewise.models.spec",
    "Model": "casewise.models.model",
    "Prediction": "casewise.models.prediction",
    "Preparation": "casewise.models.preparation",
    "Spec": "casewise.models.spec",
    "blend": "casewise.models.prediction",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        msg = f"module 'casewise.models' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(_HOME[name]), name)
