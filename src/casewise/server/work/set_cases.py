"""The accepted cases of a set, and which of them are most like an image; for the jobs that compare masks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import sqlalchemy as sa

from casewise.archive import Archive, Selection
from casewise.case import Case, Structure
from casewise.server.problems import NotThereError
from casewise.server.store import Store, set_images, sets
from casewise.server.vectors import encoder


@dataclass(frozen=True, eq=False)
class SetCases:
    """row : of the set. Cases are made of the images that are asked for alone, however many the archive has."""

    row: Any
    archive: Archive

    @classmethod
    def of(cls, archive: Archive, store: Store, number: int) -> SetCases:
        """Raises NotThereError for a set that is not there."""
        with store.read() as connection:
            row = connection.execute(sa.select(sets).where(sets.c.id == number)).one_or_none()
        if row is None:
            raise NotThereError(f"There is no set {number} any more.")
        return cls(row, archive)

    @cached_property
    def _where(self) -> Selection:
        return Selection(structures=(Structure.parse(self.row.structure),))

    @cached_property
    def count(self) -> int:
        """How many of the archive's images have a mask of the set's structure."""
        return self.archive.count(self._where)

    def held(self, keys: Collection[str]) -> dict[str, Case]:
        """Those of ``keys`` that have a mask of the set's structure, by key."""
        return {case.key: case for case in self.archive.cases(keys=keys, where=self._where)} if keys else {}

    def axes(self, keys: Collection[str]) -> dict[str, int]:
        """How many spatial axes each of these images has."""
        return {record.key: len(record.shape) for record in self.archive.images(keys)}

    def images(self, store: Store, *states: str) -> Sequence[Any]:
        """Rows of the set's images in these states."""
        query = sa.select(set_images).where(set_images.c.set_id == self.row.id, set_images.c.state.in_(states))
        with store.read() as connection:
            return connection.execute(query.order_by(set_images.c.position)).all()

    def most_alike(self, key: str, k: int) -> list[Case]:
        """Of the others of as many axes that have a mask of the structure, the ``k`` most like the image ``key``, first the most;
        in the archive's order where vectors are missing.
        """
        where = replace(self._where, axes=self.axes([key]).get(key), exclude=frozenset({key}))
        snapshot = self.archive.snapshot(where, encoder())
        own = self.archive.snapshot(Selection(among=frozenset({key})), encoder())
        places = snapshot.places
        if snapshot.rows is not None and own.rows is not None and len(own.places) and own.rows[own.places[0]] >= 0:
            encoded = places[snapshot.rows[places] >= 0]
            if len(encoded):
                space = self.archive.space(encoder(), snapshot)
                query = np.asarray(self.archive.vector(encoder(), int(own.rows[own.places[0]])), np.float64)
                places = encoded[np.argsort(-space.cosines(query, snapshot.rows[encoded]), kind="stable")]
        lines = {line.id: line.key for line in self.archive.lines(snapshot.ids[places[:k]].tolist())}
        keys = [lines[number] for number in snapshot.ids[places[:k]].tolist() if number in lines]
        held = self.held(keys)
        return [held[other] for other in keys if other in held]

    def keep(self, store: Store, row: Any, **values: object) -> bool:
        """Write what was found of one of the set's images, and whether: not where another mask of it has been accepted since
        ``row`` was read, as nothing was found of that one.
        """
        one = (set_images.c.set_id == self.row.id, set_images.c.image_key == row.image_key)
        with store.write() as connection:
            unchanged = set_images.c.ended.is_not_distinct_from(row.ended)
            return connection.execute(sa.update(set_images).where(*one, unchanged).values(**values)).rowcount == 1
