"""A session in a file: what was done, in order; no image, no model, nothing that runs when it is read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from casewise.errors import UsageError
from casewise.files import replacing
from casewise.image import Box, Image
from casewise.interaction.crossing import Crossed
from casewise.interaction.history import Began, Erased, Event, Grew, History, Marked
from casewise.interaction.strokes import Strokes, points
from casewise.models.model import Model

_FORMAT = 1


def save(path: Path, image: str, model: Model, objects: Sequence[History], current: int) -> Path:
    """Write beside and rename. image : its key. Raises UsageError where the place cannot be written."""
    arrays: dict[str, np.ndarray] = {}
    records = [[_record(event, arrays) for event in history.events] for history in objects]
    document = {"format": _FORMAT, "image": image, "model": model.key, "current": current, "objects": records}
    arrays["session"] = np.frombuffer(json.dumps(document).encode(), np.uint8)
    try:
        with replacing(path) as beside, beside.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    except OSError as error:
        msg = f"The session cannot be written to {path}: {error.strerror}; choose a place that can be written."
        raise UsageError(msg) from error
    return path


def load(path: Path, image: Image, key: str, model: Model) -> tuple[list[list[Event]], int]:
    """(events of each object, the current one). key : the image's. Raises UsageError for a damaged file, another image or model."""
    try:
        with np.load(path, allow_pickle=False) as file:
            document = json.loads(bytes(file["session"]).decode())
            if document["format"] != _FORMAT:
                msg = (
                    f"{path} is a session of format {document['format']} and this casewise reads format {_FORMAT}; update casewise."
                )
                raise UsageError(msg)
            objects = [[_event(record, file, image) for record in one] for one in document["objects"]]
            origin, maker, current = document["image"], document["model"], int(document["current"])
    except UsageError:
        raise
    except Exception as error:  # whatever zipfile, zlib, numpy and json raise for a damaged file
        msg = f"{path} cannot be read as a saved session ({type(error).__name__}); begin anew with the box."
        raise UsageError(msg) from error
    if origin != key:
        msg = f"{path} is a session on another image; give the image that it was begun with."
        raise UsageError(msg)
    if maker != model.key:
        msg = f"{path} was begun with another model than {model.name}; give that model, or begin anew with the box."
        raise UsageError(msg)
    if not objects or not all(events and isinstance(events[0], Began) for events in objects) or not 0 <= current < len(objects):
        msg = f"{path} cannot be read as a saved session (no box); begin anew with the box."
        raise UsageError(msg)
    return objects, current


def _record(event: Event, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    if isinstance(event, Grew):
        return {"kind": "grew", "farthest": event.farthest}
    name = str(len(arrays))
    if isinstance(event, Erased):
        arrays[f"{name}e"] = event.points
        return {"kind": "erased", "arrays": name}
    if isinstance(event, Marked):
        arrays[f"{name}f"], arrays[f"{name}b"] = event.strokes.foreground, event.strokes.background
        crossed = [event.strokes.crossed.decided, event.strokes.crossed.undecided]
        record = {"kind": "marked", "arrays": name} | ({"crossed": crossed} if event.strokes.crossed else {})
        return record | ({"trusting": True} if event.trusting else {})
    if event.mask is None:
        return {"kind": "began", "box": event.box.to_json()}
    arrays[f"{name}m"] = np.packbits(event.mask)
    return {"kind": "began", "box": event.box.to_json(), "mask": name, "hint": event.hint}


def _event(record: dict[str, Any], file: Any, image: Image) -> Event:
    if record["kind"] == "grew":
        return Grew(record["farthest"])
    if record["kind"] == "erased":
        return Erased(points(image, file[f"{record['arrays']}e"], "eraser"))
    if record["kind"] == "marked":
        strokes = Strokes.given(image, file[f"{record['arrays']}f"], file[f"{record['arrays']}b"])
        crossed = Crossed(*map(int, record.get("crossed", (0, 0))))
        return Marked(replace(strokes, crossed=crossed), trusting=bool(record.get("trusting", False)))
    box = Box(tuple(low for low, _ in record["box"]), tuple(high for _, high in record["box"]))
    if "mask" not in record:
        return Began(box)
    count = int(np.prod(image.spatial_shape))
    mask = np.unpackbits(file[f"{record['mask']}m"], count=count)
    return Began(box, mask.reshape(image.spatial_shape).astype(bool), bool(record["hint"]))
