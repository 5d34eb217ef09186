"""casewise: medical-image AI that adapts to the case in front of it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from casewise.archive import Archive
    from casewise.case import Case, Structure
    from casewise.finding import Finding
    from casewise.formats import read, write
    from casewise.formats.dicom.write_segmentation import write_segmentation
    from casewise.image import Box, Image
    from casewise.interaction import InteractiveSegmentation
    from casewise.models import Model
    from casewise.routing import Router

__version__ = "0.1.0"
__all__ = [
    "Archive",
    "Box",
    "Case",
    "Finding",
    "Image",
    "InteractiveSegmentation",
    "Model",
    "Router",
    "Structure",
    "read",
    "write",
    "write_segmentation",
]

# Loaded when first used, so that `import casewise` and every command line start at once.
_HOME = {
    "Archive": "casewise.archive",
    "Box": "casewise.image",
    "Case": "casewise.case",
    "Finding": "casewise.finding",
    "Image": "casewise.image",
    "InteractiveSegmentation": "casewise.interaction",
    "Model": "casewise.models",
    "Router": "casewise.routing",
    "Structure": "casewise.case",
    "read": "casewise.formats",
    "write": "casewise.formats",
    "write_segmentation": "casewise.formats.dicom.write_segmentation",
}
_ROOMS = (
    "adaptation",
    "applications",
    "archive",
    "chest",
    "examination",
    "formats",
    "interaction",
    "lesions",
    "models",
    "registration",
    "reporting",
    "routing",
    "segments",
    "training",
)


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"casewise.{name}")
    if name not in _HOME:
        msg = f"module 'casewise' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(_HOME[name]), name)
