"""Applications: what looks at an image and says what it found."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from casewise.applications.contract import Application
    from casewise.applications.organs import Organs, class_findings, findings_of, structure_findings

# Looked up when first used, so that a process that runs one application does not wait for the libraries of the others.
_FROM = {
    "Application": "contract",
    "Organs": "organs",
    "class_findings": "organs",
    "findings_of": "organs",
    "structure_findings": "organs",
}

__all__ = ["Application", "Organs", "class_findings", "findings_of", "structure_findings"]


def __getattr__(name: str) -> object:
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_FROM[name]}"), name)
