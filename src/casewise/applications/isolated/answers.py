"""An application's answer, checked before anything of it is believed: types, numbers, boxes on the grid, files in its folder."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from casewise.applications.outcome import ApplicationError
from casewise.errors import CasewiseError
from casewise.finding import FINDING, KINDS, MEASURE, Finding
from casewise.image import Box, Image

RESULT = "result.json"
MOST_BYTES = 8 * 1024 * 1024
_MOST_FINDINGS, _MOST_MEASURES, _LONGEST = 10_000, 200, 200
_NOTIFICATION = "__mercure_notification"
_PRIVATE = "__mercure_"


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
        raise ValueError(f"the key {_shown(twice)} is there twice in one object")
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
    """Masks and maps are read and must lie on the image's grid; ApplicationError says which one does not."""
    from casewise.formats import read, read_mask

    for number, finding in enumerate(findings, start=1):
        try:
            if finding.mask is not None:
                read_mask(finding.mask, image)
            if finding.map is not None and read(finding.map).spatial_shape != image.spatial_shape:
                raise ApplicationError(f"its finding {number} has a map of another shape than the image, {image.spatial_shape}")
        except ApplicationError:
            raise
        except CasewiseError as error:
            raise ApplicationError(f"its finding {number} has a mask or map that is not on the image's grid: {error}") from error


def place_of(path: str, folder: Path, files: Collection[tuple[str, ...]]) -> tuple[str, ...]:
    """The place of the file ``path`` of an application's folder among ``files``; ApplicationError where it is none of them."""
    if "\0" in path or not path or len(path) > 4096 or not _is_text(path):
        raise ApplicationError("has an empty or impossible path")
    root = os.path.normpath(folder.absolute())
    asked = os.path.normpath(os.path.join(root, path))  # noqa: PTH118 nothing of it is looked at on disk
    if not asked.startswith(root + os.sep):
        raise ApplicationError(f"names the file {_shown(path)}, which lies outside its folder")
    place = Path(asked[len(root) + 1 :]).parts
    if place not in files:
        raise ApplicationError(f"names the file {_shown(path)}, which it did not write, or as a link; links are not taken")
    return place


def _finding(item: object, application: str, grid: Sequence[int], folder: Path, there: Collection[tuple[str, ...]]) -> Finding:
    if not isinstance(item, dict):
        raise ApplicationError(f"is {_kind(item)}, where an object with a label is allowed")
    label, region = _text(item.get("label"), "label"), _text(item.get("region") or "-", "region")
    files = {key: _file(item.get(key), key, folder, there) for key in ("mask", "map")}
    return Finding(
        application,
        label,
        _probability(item.get("probability")),
        region if item.get("region") else None,
        _box(item.get("box"), grid),
        files["mask"],
        files["map"],
        _measures(item.get("measures")),
        _finding_kind(item.get("kind")),
        _scores(item.get("scores")),
    )


def _text(value: object, key: str) -> str:
    """A name on one line, without signs that cannot be displayed."""
    if not isinstance(value, str) or not _is_text(value) or len(value) > _LONGEST or not clean(value):
        raise ApplicationError(f"has the {key} {_shown(value)}; allowed is a text of 1 to {_LONGEST} characters")
    return clean(value)


def _is_text(value: str) -> bool:
    """Whether it can be written: halves of a pair of UTF-16 alone cannot."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _file(value: object, key: str, folder: Path, there: Collection[tuple[str, ...]]) -> Path | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise ApplicationError(f"has the {key} {_shown(value)}; allowed is the name of a file")
    return folder.joinpath(*place_of(value, folder, there))


def _probability(value: object) -> float | None:
    if value is None:
        return None
    if not _is_number(value) or not 0 <= value <= 1:  # type: ignore[operator]
        raise ApplicationError(f"has the probability {_shown(value)}; allowed is a number from 0 to 1")
    return float(value)  # type: ignore[arg-type]


def _box(value: object, grid: Sequence[int]) -> Box | None:
    if value is None:
        return None
    wanted = ", ".join(f"[lower, upper] within 0 to {side}" for side in grid)
    wrong = ApplicationError(f"has the box {_shown(value)}; allowed are whole numbers {wanted}, lower below upper")
    if not isinstance(value, list) or len(value) != len(grid):
        raise wrong
    for pair, side in zip(value, grid, strict=True):
        if not isinstance(pair, list) or len(pair) != 2 or not all(type(edge) is int for edge in pair):
            raise wrong
        if not 0 <= pair[0] < pair[1] <= side:
            raise wrong
    return Box(tuple(pair[0] for pair in value), tuple(pair[1] for pair in value))


def _measures(value: object) -> dict[str, float]:
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > _MOST_MEASURES:
        raise ApplicationError(f"has the measures {_shown(value)}; allowed is an object of at most {_MOST_MEASURES} named numbers")
    for name, number in value.items():
        if not isinstance(name, str) or not name or len(name) > _LONGEST or not _is_text(name) or not _is_number(number):
            raise ApplicationError(f"has the measure {_shown(name)} = {_shown(number)}; allowed are names with finite numbers")
    return {name: float(number) for name, number in value.items()}


def _finding_kind(value: object) -> str:
    if value is None:
        return FINDING
    if value not in KINDS:
        raise ApplicationError(f"has the kind {_shown(value)}; allowed are {', '.join(KINDS)}")
    return str(value)


def _scores(value: object) -> dict[str, float]:
    scores = _measures(value)
    if any(not 0 <= score <= 1 for score in scores.values()):
        raise ApplicationError(f"has the scores {_shown(value)}; allowed are names with numbers from 0 to 1")
    return scores


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
    if not isinstance(value, list) or not all(isinstance(note, str) for note in value):
        raise ApplicationError(f"the notes of its {RESULT} are {_shown(value)}, where a list of texts is allowed")
    return [clean(note) for note in value[:_MOST_MEASURES]]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300 and math.isfinite(value)


def clean(text: str, longest: int = _LONGEST) -> str:
    """On one line, without signs that cannot be displayed or written, and not longer than that."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 8 * longest]).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def _shown(value: object) -> str:
    try:
        text = clean(repr(value))
    except (RecursionError, ValueError):  # nested too deeply; a number of more digits than Python writes
        text = _kind(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", int: "a number", float: "a number", bool: "a truth value"}
    return "nothing" if value is None else names.get(type(value), type(value).__name__)
