"""Prepare an image's session while its person is busy with the image before: the first mask, and the model refined for it."""

from __future__ import annotations

import json
import re

import sqlalchemy as sa

from casewise.server import prepared
from casewise.server.images import ImageCache
from casewise.server.networks import Networks
from casewise.server.store import Store, sessions
from casewise.server.work.context import Work

_KEYS = re.compile(r"\b[0-9a-f]{32}\b")


def run(work: Work) -> dict[str, object]:
    """payload: ``case``, ``structure``, and ``model``, a name, for another than the one for images like this."""
    from casewise.interaction.sets import guidance

    key, structure = str(work.payload["case"]), str(work.payload["structure"])
    name = work.payload.get("model")
    image = ImageCache(work.archive, 0).get(key)
    initial = Networks(work.archive).chosen(image, None if name is None else str(name))
    work.progress("Preparing", 0)
    found = guidance.prepare(initial, image, work.archive, structure, progress=work.progress)
    if found.cases:
        prepared.save(work.archive, key, structure, initial, found)
    prepared.prune_models(work.archive.folder, _in_sessions(work.store))
    return {
        "case": key,
        "structure": structure,
        "cases": len(found.cases),
        "guess": found.guess is not None,
        "reason": found.reason,
    }


def _in_sessions(store: Store) -> set[str]:
    """Whatever a saved session names that may be a model's key."""
    with store.read() as connection:
        return {key for data in connection.scalars(sa.select(sessions.c.data)) for key in _KEYS.findall(json.dumps(data))}
