"""The accepted cases of a set, and which of them are most like an image; for the jobs that compare masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from casewise.archive import Archive
from casewise.case import Case
from casewise.server.problems import NotThereError
from casewise.server.store import Store, set_images, sets
from casewise.server.vectors import ArchiveVectors


@dataclass(frozen=True, eq=False)
class SetCases:
    """row : of the set. held : the archive's cases that have a mask of its structure, by key. axes : how many each image has."""

    row: Any
    held: dict[str, Case]
    axes: dict[str, int]
    archive: Archive
    vectors: ArchiveVectors

    @classmethod
    def of(cls, archive: Archive, store: Store, number: int) -> SetCases:
        """Raises NotThereError for a set that is not there."""
        with store.read() as connection:
            row = connection.execute(sa.select(sets).where(sets.c.id == number)).one_or_none()
        if row is None:
            raise NotThereError(f"There is no set {number} any more.")
        held = {case.key: case for case in archive.cases([row.structure])}
        axes = {record.key: len(record.shape) for record in archive.images()}
        return cls(row, held, axes, archive, ArchiveVectors(archive))

    def images(self, store: Store, *states: str) -> Sequence[Any]:
        """Rows of the set's images in these states."""
        query = sa.select(set_images).where(set_images.c.set_id == self.row.id, set_images.c.state.in_(states))
        with store.read() as connection:
            return connection.execute(query.order_by(set_images.c.position)).all()

    def most_alike(self, key: str, k: int) -> list[Case]:
        """Of the others of as many axes, the ``k`` most like the image ``key``."""
        among = [other for other in self.held if self.axes.get(other) == self.axes.get(key)]
        return [self.held[other] for other in self.vectors.nearest(key, among, k)]

    def keep(self, store: Store, key: str, **values: object) -> None:
        """Write what was found of one of the set's images."""
        one = (set_images.c.set_id == self.row.id, set_images.c.image_key == key)
        with store.write() as connection:
            connection.execute(sa.update(set_images).where(*one).values(**values))
