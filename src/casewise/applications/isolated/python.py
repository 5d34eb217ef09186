"""Runs an application that is a Python object."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import Any

from casewise.applications.isolated.task import Runs, Task
from casewise.applications.outcome import ApplicationError
from casewise.finding import Finding, SegmentPicture
from casewise.image import Box, Image


def started(target: str, settings: Mapping[str, object]) -> Runs:
    """Import ``module:object`` and make it ready; a class or function is called with the settings."""
    application = loaded(target, settings)

    def run(task: Task) -> tuple[list[object], list[str]]:
        image = task.image()
        os.chdir(task.out)
        return analyzed(application, image)

    return run


def loaded(target: str, settings: Mapping[str, object]) -> Any:
    """The object that ``module:object`` names, or what it gives when called with the settings: it has a method ``analyze``."""
    module_name, _, attribute = target.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except ModuleNotFoundError as error:
        raise ApplicationError(f"cannot be loaded: the module {error.name} is not installed") from error
    except AttributeError as error:
        raise ApplicationError(f"cannot be loaded: {module_name} has no {attribute}") from error
    application = _made(found, target, settings)
    if not callable(getattr(application, "analyze", None)):
        raise ApplicationError(f"cannot be loaded: {target} gives no object with a method analyze(image)")
    return application


def analyzed(application: Any, image: Image) -> tuple[list[object], list[str]]:
    """(findings as JSON, notes) of an image."""
    findings = _as_json(application.analyze(image))
    notes = getattr(application, "notes", ())
    return findings, [str(note) for note in notes] if isinstance(notes, (list, tuple)) else []


def _made(found: Any, target: str, settings: Mapping[str, object]) -> object:
    if not isinstance(found, type) and hasattr(found, "analyze"):
        if settings:
            raise ApplicationError(f"cannot be loaded: {target} is an object already made, which takes no settings")
        return found
    if not callable(found):
        raise ApplicationError(f"cannot be loaded: {target} is neither a class, a function nor an application")
    return found(**settings)


def _as_json(answer: object) -> list[object]:
    if not isinstance(answer, (list, tuple)):
        raise ApplicationError(f"answered with {type(answer).__name__}, where a list of findings is allowed")
    findings: list[object] = []
    for number, item in enumerate(answer, start=1):
        if not isinstance(item, Finding):
            raise ApplicationError(f"answered with a list whose item {number} is {type(item).__name__}, where Finding is allowed")
        findings.append(_plain(item))
    return findings


def _plain(finding: Finding) -> dict[str, object]:
    """As JSON, with nothing rounded or mended on the way: the checks are to see what the application said."""
    return {
        "label": finding.label,
        "probability": _number(finding.probability),
        "region": finding.region,
        "box": _pairs(finding.box) if finding.box is not None else None,
        "mask": os.fspath(finding.mask) if finding.mask is not None else None,
        "map": os.fspath(finding.map) if finding.map is not None else None,
        "measures": {str(name): _number(value) for name, value in finding.measures.items()},
        "kind": finding.kind,
        "scores": {str(name): _number(value) for name, value in finding.scores.items()},
        "segment": _segment(finding.segment) if finding.segment is not None else None,
    }


def _segment(segment: SegmentPicture) -> dict[str, object]:
    picture = os.fspath(segment.picture)
    return {"region": segment.region, "box": _pairs(segment.box), "scale": _number(segment.scale), "picture": picture}


def _pairs(box: Box) -> list[list[object]]:
    return [[_number(lo), _number(hi)] for lo, hi in zip(box.lower, box.upper, strict=True)]


def _number(value: object) -> object:
    return value.item() if hasattr(value, "item") else value
