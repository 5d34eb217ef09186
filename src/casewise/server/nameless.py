"""Sentences about an archive's files on its pages and in its jobs: an image is called as pages call it, without its place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from casewise.archive import Archive
from casewise.archive.catalogue import images, labels
from casewise.archive.nameless import display_name
from casewise.archive.storage import named
from casewise.server.joined import joined
from casewise.server.store import Store


def without_places(archive: Archive, store: Store, sentence: str, show_names: bool = False) -> str:
    """An error's sentence without the places of the archive's files, whose folders and names may name a patient.

    It asks the catalogue for the files that the sentence names, where it names any: for what failed, not for each image.
    """
    if "/" not in sentence and "\\" not in sentence:
        return sentence
    found = sorted(_mentioned(archive, store, sentence, show_names), key=lambda one: len(one[0]), reverse=True)
    for place, called in found:
        sentence = sentence.replace(place, called)
    return sentence


def _mentioned(archive: Archive, store: Store, sentence: str, show_names: bool) -> Iterator[tuple[str, str]]:
    """(a place that the sentence may name, what to call it)."""
    engine = joined(archive, store)
    columns = (images.c.key, images.c.name, images.c.kind, images.c.path, images.c.files)
    try:
        with engine.connect() as connection:
            rows = connection.execute(sa.select(*columns).where(_holds(sentence, images.c.path))).all()
            masks = connection.execute(sa.select(labels.c.name, labels.c.path).where(_holds(sentence, labels.c.path))).all()
    finally:
        if engine is not store.engine:
            engine.dispose()
    for row in rows:
        called = display_name(row.name, row.kind, row.key, show_names)
        places = [row.path, *(f"{row.path}/{name}" for name in row.files)]
        yield from ((one, called) for place in places for one in _written(archive.folder, place))
    for mask in masks:
        yield from ((one, f"The mask {mask.name}") for one in _written(archive.folder, mask.path))


def _holds(sentence: str, path: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    return (path != "") & (sa.func.replace(sa.literal(sentence), path, "") != sentence)


def _written(folder: Path, path: str) -> tuple[str, str]:
    """A catalogue's path as sentences write it."""
    return str(named(folder, path)), path
