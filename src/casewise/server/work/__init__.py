"""The kinds of job, one file each: a function of a ``Work`` that returns the job's result.

A kind's module is imported when a job of it is claimed, so that neither the server nor an idle worker loads what it needs.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from casewise.server.work.context import Stopped, Work

__all__ = ["KINDS", "Kind", "Stopped", "Work"]

Kind = Callable[[Work], dict[str, object]]


def _in(module: str) -> Kind:
    """The function ``run`` of a module beside this one."""

    def run(work: Work) -> dict[str, object]:
        found: Kind = import_module(f"{__name__}.{module}").run
        return found(work)

    return run


# Each has its file here: {"analyse": _in("analyse")} is the function `run` of analyse.py.
KINDS: dict[str, Kind] = {
    "analyse": _in("analyse"),
    "deliver": _in("deliver"),
    "embed": _in("embed"),
    "export": _in("export"),
    "import": _in("take_in"),
    "prepare": _in("prepare"),
    "receive": _in("receive"),
    "score": _in("score"),
    "score drafts": _in("score_drafts"),
    "segment": _in("segment"),
    "train": _in("train"),
    "uncertainty": _in("uncertainty"),
}
