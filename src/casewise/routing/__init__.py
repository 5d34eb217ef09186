"""Routing: the pixels say what an image shows, and so which applications look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from casewise.routing.router import Router

__all__ = ["Router"]


def __getattr__(name: str) -> object:
    # Loaded when first used: the commands that only list applications need no network.
    if name != "Router":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from casewise.routing.router import Router

    return Router
