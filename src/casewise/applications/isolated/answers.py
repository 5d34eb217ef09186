"""An application's answer, checked before anything of it is believed: types, numbers, boxes on the grid, files in its folder."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from casewise.applications.outcome import ApplicationError
from casewise.errors import CasewiseError
from casewise.finding import FINDING, KINDS, MEASURE, Finding, SegmentPicture
from casewise.image import Box, Image

RESULT = "result.json"
MOST_BYTES = 8 * 1024 * 1024
_MOST_FINDINGS, _MOST_MEASURES, _LONGEST = 10_000, 200, 200
_NOTIFICATION = "__mercure_notification"
_PRIVATE = "__mercure_"
_Name = Annotated[str, Meta(min_length=1, max_length=_LONGEST)]
_Number = Annotated[float, Meta(ge=-1e300, le=1e300)]  # neither infinite nor NaN
_Share = Annotated[float, Meta(ge=0, le=1)]


def parse(content: bytes, name: str) -> object:
    """JSON, or one clause that says it is none; a key that an object has twice is refused, for one of the two would be lost."""
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=_object)
    except RecursionError as error:
        raise ApplicationError(f"its {name} is not JSON that can be read: it is nested too deeply") from error
    except ValueError as error:
        raise ApplicationError(f"its {name} is not JSON: {clean(str(error), 120)}") from error


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {_printed(twice)} is there twice in one object")
    return found


def findings_of_result(document: object) -> tuple[list[object], list[str]]:
    """(findings, notes) of a ``result.json``, the findings not yet checked.

    ``{"findings": […], "notes": […]}`` or a list of findings is casewise's own shape. Any other object becomes one finding: its
    numbers are the measures (nested names are joined by ``_``), its texts are notes, and so is mercure's notification.
    """
    if isinstance(document, list):
        return document, []
    if not isinstance(document, dict):
        raise ApplicationError(f"its {RESULT} holds {_kind(document)}, where an object or a list of findings is allowed")
    if "findings" in document:
        findings, notes = document["findings"], document.get("notes", [])
        if not isinstance(findings, list):
            raise ApplicationError(f"the findings of its {RESULT} are {_kind(findings)}, where a list is allowed")
        return findings, _notes(notes)
    measures: dict[str, float] = {}
    notes = []
    for name, value in document.items():
        if name == _NOTIFICATION:
            text = value.get("text") if isinstance(value, dict) else None
            notes += [clean(text)] if isinstance(text, str) and text else []
        elif not name.startswith(_PRIVATE):
            _flatten(name, value, measures, notes)
    kept = dict(list(measures.items())[:_MOST_MEASURES])
    return [{"label": "result", "measures": kept, "kind": MEASURE}] if kept or notes else [], notes[:_MOST_MEASURES]


def checked(
    document: Sequence[object], application: str, grid: Sequence[int], folder: Path, files: Collection[tuple[str, ...]]
) -> list[Finding]:
    """Findings of a document on an image of spatial shape ``grid``, their files in ``folder``. Unknown keys are passed over.

    files : what there is of files in ``folder``, by the names of the folders that each lies in and its own.
    Raises ApplicationError at the first wrong one: a clause without the application's name.
    """
    if len(document) > _MOST_FINDINGS:
        raise ApplicationError(f"it answered with {len(document):,} findings; allowed are {_MOST_FINDINGS:,}")
    found, there = [], frozenset(files)
    for number, item in enumerate(document, start=1):
        try:
            found.append(_finding(item, application, grid, folder, there))
        except ApplicationError as error:
            raise ApplicationError(f"its finding {number} {error}") from error
    return found


def check_files(findings: Sequence[Finding], image: Image) -> None:
    """Masks and maps are read and must lie on the image's grid, and a segment's picture must have its shape; ApplicationError says
    which one does not.
    """
    from casewise.formats import read, read_mask

    for number, finding in enumerate(findings, start=1):
        try:
            if finding.mask is not None:
                read_mask(finding.mask, image)
            if finding.map is not None and read(finding.map).spatial_shape != image.spatial_shape:
                raise ApplicationError(f"its finding {number} has a map of another shape than the image, {image.spatial_shape}")
            segment = finding.segment
            if segment is not None and read(segment.picture).spatial_shape != segment.shape:
                raise ApplicationError(f"its finding {number} has a segment's picture of another shape than that, {segment.shape}")
        except ApplicationError:
            raise
        except CasewiseError as error:
            raise ApplicationError(f"its finding {number} has a file that is not on the image's grid: {error}") from error


def place_of(path: str, folder: Path, files: Collection[tuple[str, ...]]) -> tuple[str, ...]:
    """The place of the file ``path`` of an application's folder among ``files``; ApplicationError where it is none of them."""
    if "\0" in path or not path or len(path) > 4096 or not _is_text(path):
        raise ApplicationError("has an empty or impossible path")
    root = os.path.normpath(folder.absolute())
    asked = os.path.normpath(os.path.join(root, path))  # noqa: PTH118 nothing of it is looked at on disk
    if not asked.startswith(root + os.sep):
        raise ApplicationError(f"names the file {_printed(path)}, which lies outside its folder")
    place = Path(asked[len(root) + 1 :]).parts
    if place not in files:
        raise ApplicationError(f"names the file {_printed(path)}, which it did not write, or as a link; links are not taken")
    return place


class _Segment(msgspec.Struct):
    region: Annotated[str, Meta(min_length=1, max_length=_LONGEST)]
    box: list[tuple[int, int]]
    picture: str
    scale: Annotated[float, Meta(ge=0.8, le=1)] = 1.0


class _Answer(msgspec.Struct):
    """A finding as an application writes it; what else it writes is passed over."""

    label: Annotated[str, Meta(max_length=_LONGEST)]
    region: Annotated[str, Meta(max_length=_LONGEST)] | None = None
    probability: _Share | None = None
    box: list[tuple[int, int]] | None = None
    mask: str | None = None
    map: str | None = None
    measures: Annotated[dict[_Name, _Number], Meta(max_length=_MOST_MEASURES)] | None = None
    kind: Literal["finding", "absent", "measure", "quality"] | None = None
    scores: Annotated[dict[_Name, _Share], Meta(max_length=_MOST_MEASURES)] | None = None
    segment: _Segment | None = None


_ALLOWED = {
    "label": f"is a text of 1 to {_LONGEST} characters",
    "region": f"is a text of 1 to {_LONGEST} characters",
    "probability": "is a number from 0 to 1",
    "mask": "is the name of a file",
    "map": "is the name of a file",
    "measures": f"is an object of at most {_MOST_MEASURES} names, each with a finite number",
    "kind": f"are {', '.join(KINDS)}",
    "scores": "are names with numbers from 0 to 1",
    "segment": "is an object of region, box within the image, scale from 0.8 to 1 and picture, the name of a file",
}


def _finding(item: object, application: str, grid: Sequence[int], folder: Path, there: Collection[tuple[str, ...]]) -> Finding:
    if not isinstance(item, dict):
        raise ApplicationError(f"is {_kind(item)}, where an object with a label is allowed")
    try:
        found = msgspec.convert(item, _Answer)
    except msgspec.ValidationError as error:
        place = re.search(r"\$\.(\w+)", str(error)) or re.search(r"field `(\w+)", str(error))  # a segment lacks a field of its own
        raise _refused(item, place[1] if place else "label", grid) from error
    for key, text in {"label": found.label, "region": found.region or "-"}.items():
        if not _is_text(text) or not clean(text):
            raise _refused(item, key, grid)
    for key, named in {"measures": found.measures, "scores": found.scores}.items():
        if not all(map(_is_text, named or {})):
            raise _refused(item, key, grid)
    if found.box is not None and not _within(found.box, grid):
        raise _refused(item, "box", grid)
    within = found.segment
    if within is not None and not (_within(within.box, grid) and _is_text(within.region) and clean(within.region)):
        raise _refused(item, "segment", grid)
    mask, heat = (None if path is None else folder.joinpath(*place_of(path, folder, there)) for path in (found.mask, found.map))
    return Finding(
        application,
        clean(found.label),
        found.probability,
        clean(found.region) if found.region else None,
        None if found.box is None else _box(found.box),
        mask,
        heat,
        found.measures or {},
        found.kind or FINDING,
        found.scores or {},
        segment=None if within is None else _segment(within, folder, there),
    )


def _segment(found: _Segment, folder: Path, there: Collection[tuple[str, ...]]) -> SegmentPicture:
    picture = folder.joinpath(*place_of(found.picture, folder, there))
    return SegmentPicture(clean(found.region), _box(found.box), found.scale, picture)


def _within(box: Sequence[tuple[int, int]], grid: Sequence[int]) -> bool:
    return len(box) == len(grid) and all(0 <= lo < hi <= n for (lo, hi), n in zip(box, grid, strict=True))


def _box(pairs: Sequence[tuple[int, int]]) -> Box:
    return Box(tuple(lo for lo, _ in pairs), tuple(hi for _, hi in pairs))


def _refused(item: Mapping[str, object], key: str, grid: Sequence[int]) -> ApplicationError:
    sides = ", ".join(f"[lower, upper] within 0 to {side}" for side in grid)
    allowed = {**_ALLOWED, "box": f"are whole numbers {sides}, lower below upper"}[key]
    return ApplicationError(f"has the {key} {_printed(item.get(key))}; allowed {allowed}")


def _is_text(value: str) -> bool:
    """Whether it can be written: halves of a pair of UTF-16 alone cannot."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _flatten(name: str, value: object, measures: dict[str, float], notes: list[str], depth: int = 0) -> None:
    name = clean(name)
    if _is_number(value):
        measures[name] = float(value)  # type: ignore[arg-type]
    elif isinstance(value, (str, bool)):
        notes.append(f"{name}: {clean(str(value))}")
    elif isinstance(value, Mapping) and depth < 4:
        for inner, deeper in value.items():
            _flatten(f"{name}_{inner}", deeper, measures, notes, depth + 1)
    elif isinstance(value, list) and depth < 4:
        for number, deeper in enumerate(value[:_MOST_MEASURES], start=1):
            _flatten(f"{name}_{number}", deeper, measures, notes, depth + 1)


def _notes(value: object) -> list[str]:
    try:
        return [clean(note) for note in msgspec.convert(value, list[str])[:_MOST_MEASURES]]
    except msgspec.ValidationError as error:
        raise ApplicationError(f"the notes of its {RESULT} are {_printed(value)}, where a list of texts is allowed") from error


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300 and math.isfinite(value)


def clean(text: str, longest: int = _LONGEST) -> str:
    """On one line, without signs that cannot be displayed or written, and not longer than that."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 8 * longest]).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def _printed(value: object) -> str:
    try:
        text = clean(repr(value))
    except (RecursionError, ValueError):  # nested too deeply; a number of more digits than Python writes
        text = _kind(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", int: "a number", float: "a number", bool: "a truth value"}
    return "nothing" if value is None else names.get(type(value), type(value).__name__)
