"""What the catalogue says of all images, as arrays with one place an image: a search ranks these, and makes cases of what it found.

Arrays are fetched when they are first needed and kept. Images that came since are appended; where one was changed or removed, which
the catalogue marks (:data:`casewise.archive.catalogue.CHANGES`), everything is fetched anew.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from casewise.archive.catalogue import CHANGES, Catalogue, embeddings, encoders, images, meta
from casewise.archive.retrieval.content import Field, FieldColumn
from casewise.archive.selection import Selection

Numbers = npt.NDArray[np.int64]

_OWN = ("modality", "sequence", "age", "sex")  # fields with a column; the others, and these where it is empty, are in ``content``
_KEYS_AT_ONCE = 5_000
_KEPT = 32  # selections, and sets of keys, whose places are kept


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The catalogue's images at one time. ids : (n,) ascending. places : (m,) ascending, of those that were selected, among the n.

    rows : (n,) row of each image's vector, −1 where there is none; None where no encoder was named. fields : (n,) each.
    """

    ids: Numbers
    places: Numbers
    rows: Numbers | None
    fields: tuple[FieldColumn, ...]


class ImageColumns:
    """The images of one catalogue; for use from any thread. The arrays that it gives are never written again."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._lock = threading.Lock()
        self._marks: dict[str, str] = {}
        self._forget([])

    def snapshot(self, selection: Selection, encoder_key: str | None = None, fields: Sequence[Field] = ()) -> Snapshot:
        """The images now: which of them are selected, their vectors' rows of an encoder, and some fields of their content."""
        with self._lock, self._catalogue.read() as connection:
            # In this order: a row that was given out belongs to an image that is then there.
            marks = _marks(connection)
            given = connection.scalar(sa.select(encoders.c.rows).where(encoders.c.key == encoder_key)) if encoder_key else None
            self._follow(connection, marks)
            rows = self._rows_of(connection, encoder_key, int(given or 0)) if encoder_key else None
            columns = tuple(self._field(connection, field) for field in fields)
            return Snapshot(self._ids, self._selected(connection, selection), rows, columns)

    def _forget(self, ids: Sequence[int]) -> None:
        self._ids = np.asarray(ids, np.int64)
        self._rows: dict[str, tuple[int, Numbers]] = {}
        self._fields: dict[Field, FieldColumn] = {}
        self._kept: dict[object, Numbers] = {}

    def _follow(self, connection: sa.Connection, marks: dict[str, str]) -> None:
        if marks.get(CHANGES["images"]) != self._marks.get(CHANGES["images"]):
            self._forget([])
        elif marks != self._marks:
            self._kept.clear()
        self._marks = marks
        last = int(self._ids[-1]) if len(self._ids) else 0
        if int(connection.scalar(sa.select(sa.func.max(images.c.id))) or 0) <= last:
            return
        new = np.asarray(connection.scalars(sa.select(images.c.id).where(images.c.id > last).order_by(images.c.id)).all(), np.int64)
        self._ids = np.concatenate([self._ids, new])
        self._kept.clear()
        for key, (given, rows) in self._rows.items():
            self._rows[key] = given, np.concatenate([rows, np.full(len(new), -1)])
        for field, column in self._fields.items():
            self._fields[field] = column.extended(_values(connection, field, new))

    def _rows_of(self, connection: sa.Connection, key: str, given: int) -> Numbers:
        before, rows = self._rows.get(key, (0, np.full(len(self._ids), -1, np.int64)))
        if before < given:
            query = sa.select(embeddings.c.image_id, embeddings.c.row).where(embeddings.c.encoder_key == key)
            found = connection.execute(query.where(embeddings.c.row >= before, embeddings.c.row < given)).all()
            numbers = np.asarray([tuple(one) for one in found], np.int64).reshape(-1, 2)
            places, there = _places(self._ids, numbers[:, 0])
            rows = rows.copy()
            rows[places] = numbers[there, 1]
        self._rows[key] = given, rows
        return rows

    def _field(self, connection: sa.Connection, field: Field) -> FieldColumn:
        if field not in self._fields:
            self._fields[field] = FieldColumn.of(field, _values(connection, field, self._ids))
        return self._fields[field]

    def _selected(self, connection: sa.Connection, selection: Selection) -> Numbers:
        places = self._meeting(connection, selection.without_keys())
        if selection.among is not None:
            places = np.intersect1d(places, self._of_keys(connection, selection.among), assume_unique=True)
        if selection.exclude:
            kept = np.ones(len(places), bool)
            kept[_places(places, self._of_keys(connection, selection.exclude))[0]] = False
            places = places[kept]
        return places

    def _meeting(self, connection: sa.Connection, selection: Selection) -> Numbers:
        places = self._kept.get(selection)
        if places is None:
            where = selection.conditions(connection)
            found = connection.scalars(sa.select(images.c.id).where(*where)).all() if where else None
            places = np.arange(len(self._ids)) if found is None else np.sort(_places(self._ids, np.asarray(found, np.int64))[0])
            self._keep(selection, places)
        return places

    def _of_keys(self, connection: sa.Connection, keys: frozenset[str]) -> Numbers:
        places = self._kept.get(keys)
        if places is None:
            every = sorted(keys)
            found: list[int] = []
            for first in range(0, len(every), _KEYS_AT_ONCE):
                some = images.c.key.in_(every[first : first + _KEYS_AT_ONCE])
                found += connection.scalars(sa.select(images.c.id).where(some)).all()
            places = np.sort(_places(self._ids, np.asarray(found, np.int64))[0])
            self._keep(keys, places)
        return places

    def _keep(self, what: object, places: Numbers) -> None:
        while len(self._kept) >= _KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[what] = places


def _marks(connection: sa.Connection) -> dict[str, str]:
    query = sa.select(meta.c.name, meta.c.value).where(meta.c.name.in_(list(CHANGES.values())))
    return {str(name): str(value) for name, value in connection.execute(query)}


def _places(ids: Numbers, wanted: Numbers) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    """(places of those of ``wanted`` that are among the ascending ``ids``, (n,) bool: which of ``wanted`` these are)."""
    if not len(ids):
        return np.empty(0, np.int64), np.zeros(len(wanted), bool)
    places = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    there = ids[places] == wanted
    return places[there], there


def _values(connection: sa.Connection, field: Field, ids: Numbers) -> list[object]:
    """(n,) a field of the images of these ids, the newest of the catalogue; None where nothing is known."""
    values: list[object] = [None] * len(ids)
    if not len(ids):
        return values
    new = images.c.id >= int(ids[0])
    said = images.c.content[field.name]
    query = sa.select(images.c.id, sa.cast(said, sa.Text)).where(new, said.as_string().is_not(None))
    known: dict[str, object] = {}  # a few texts, again and again
    if field.name in _OWN:
        own = images.c[field.name]
        query = query.where(own.is_(None))
        for place, value in _placed(ids, connection.execute(sa.select(images.c.id, own).where(new, own.is_not(None))).all()):
            values[place] = value
    for place, text in _placed(ids, connection.execute(query).all()):
        if text not in known:
            known[text] = json.loads(text)
        values[place] = known[text]
    return values


def _placed(ids: Numbers, found: Sequence[Any]) -> list[tuple[int, Any]]:
    """(place, value) of each row (id, value) whose id is among ``ids``."""
    places, there = _places(ids, np.asarray([one[0] for one in found], np.int64))
    return [(place, found[number][1]) for place, number in zip(places.tolist(), np.flatnonzero(there).tolist(), strict=True)]
