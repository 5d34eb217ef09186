"""The archive: images, their labels and where they came from, found again by content and by likeness."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from casewise.archive.archive import Archive
    from casewise.archive.ingest.report import ImportReport, Refused

__all__ = ["Archive", "ImportReport", "Refused"]

# Loaded when first used: SQLAlchemy takes longer to import than a command may take to start.
_HOME = {
    "Archive": "casewise.archive.archive",
    "ImportReport": "casewise.archive.ingest.report",
    "Refused": "casewise.archive.ingest.report",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        msg = f"module 'casewise.archive' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(_HOME[name]), name)
