"""An image's labels as the catalogue has them, and masks that are written among them in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from casewise.archive.catalogue import images, labels
from casewise.errors import ArchiveError
from casewise.image import Array

Origin = Mapping[str, object]  # how a mask was made, as JSON
Held = Mapping[str, Mapping[str, Any]]  # name → label, of the masks that an image has; the one that was written last stands last
Naming = Callable[[str, Held], Collection[str]]


@dataclass(frozen=True, eq=False)
class Made:
    """A mask (*spatial), and how this one was made."""

    mask: Array
    origin: Origin


Masks = Mapping[str, Array | Made]  # name → mask


def labels_of(connection: sa.Connection, key: str) -> list[dict[str, object]]:
    """See :meth:`casewise.archive.Archive.labels`."""
    columns = [column for column in labels.c if column.name not in ("id", "image_id")]
    query = sa.select(*columns).join(images, images.c.id == labels.c.image_id).where(images.c.key == key).order_by(labels.c.id)
    return [dict(row._mapping) for row in connection.execute(query)]


def masks_and_boxes(connection: sa.Connection, conditions: Sequence[sa.ColumnElement[bool]]) -> dict[int, list[sa.Row[Any]]]:
    """Id of each image that fulfils all conditions → its masks and boxes."""
    query = sa.select(labels).where(labels.c.kind.in_(["mask", "boxes"])).order_by(labels.c.id)
    if conditions:
        query = query.where(labels.c.image_id.in_(sa.select(images.c.id).where(*conditions)))
    found: dict[int, list[sa.Row[Any]]] = {}
    for label in connection.execute(query):
        found.setdefault(label.image_id, []).append(label)
    return found


def masks_in(rows: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Name → label of the masks among an image's labels."""
    return {str(row["name"]): row for row in rows if row["kind"] == "mask"}


def write_masks(connection: sa.Connection, key: str, rows: Sequence[Mapping[str, object]], names: Naming | None) -> list[str]:
    """Write labels of an image in place of those of the same name; returns their names.

    names : from a mask's own name, and the image's masks as they are until the transaction ends, those under which it is kept.
    Raises ArchiveError for a key that is not in the archive.
    """
    there = connection.execute(sa.select(images.c.id).where(images.c.key == key)).one_or_none()
    if there is None:
        msg = f"The archive has no image of the key {key}; import it first."
        raise ArchiveError(msg)
    held = {} if names is None else masks_in(labels_of(connection, key))
    written = [
        {**row, "name": name} for row in rows for name in (names(str(row["name"]), held) if names is not None else (row["name"],))
    ]
    replace_masks(connection, there.id, written)
    return [str(row["name"]) for row in written]


def replace_masks(connection: sa.Connection, image_id: int, rows: Sequence[Mapping[str, object]]) -> None:
    for label in rows:
        same = (labels.c.image_id == image_id, labels.c.kind == "mask", labels.c.name == label["name"])
        connection.execute(sa.delete(labels).where(*same))
        connection.execute(sa.insert(labels).values(image_id=image_id, **label))
