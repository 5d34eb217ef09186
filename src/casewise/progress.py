"""How a long step reports how far it is: one callback, called in the caller's own thread."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """``progress(step, done, total)``: ``done`` of ``total`` parts of the step of that name are done; ``total`` is None where it is
    not known. ``note`` : what is being worked on, or how it goes.

    A step begins anew where ``done`` falls.
    """

    def __call__(self, step: str, done: int, total: int | None = None, note: str = "", /) -> None: ...


def silent(step: str, done: int, total: int | None = None, note: str = "", /) -> None:
    """For callers that do not want to know."""
