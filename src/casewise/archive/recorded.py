"""What analyses came to, kept in the catalogue: one row a result, numbered in the order in which they came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from casewise.archive.catalogue import Catalogue, images, results
from casewise.archive.columns import Written

Row = tuple[Mapping[str, object] | Written, str | None]  # JSON, and the key of its image


def record(catalogue: Catalogue, rows: Sequence[Row]) -> list[int]:
    """Keep results in one transaction; their numbers, in this order."""
    if not rows:
        return []
    statement = sa.insert(results).returning(results.c.id, sort_by_parameter_order=True)
    with catalogue.write() as connection:
        made = connection.scalars(statement, [{"image_key": key, "data": _data(data)} for data, key in rows])
        return [int(number) for number in made]


def _data(data: Mapping[str, object] | Written) -> dict[str, object] | Written:
    return data if isinstance(data, Written) else dict(data)


def recorded(catalogue: Catalogue, image_key: str | None) -> list[dict[str, object]]:
    """What was recorded, of one image or of all, in order."""
    query = sa.select(results.c.data).order_by(results.c.id)
    query = query.where(results.c.image_key == image_key) if image_key is not None else query
    with catalogue.read() as connection:
        return list(connection.scalars(query))


def keys_without(catalogue: Catalogue) -> list[str]:
    """Keys of the images of which nothing was recorded, in the order in which they came."""
    none = ~sa.exists().where(results.c.image_key == images.c.key)
    with catalogue.read() as connection:
        return list(connection.scalars(sa.select(images.c.key).where(none).order_by(images.c.id)))


def last(catalogue: Catalogue) -> int:
    """The number of the result that was recorded last, of any image; 0 where there is none."""
    with catalogue.read() as connection:
        return int(connection.scalar(sa.select(sa.func.max(results.c.id))) or 0)


def newest(catalogue: Catalogue, image_key: str) -> tuple[int, dict[str, Any], int] | None:
    """(number, what was recorded, how many results of the image are older); None where there is none."""
    mine = results.c.image_key == image_key
    with catalogue.read() as connection:
        row = connection.execute(sa.select(results).where(mine).order_by(results.c.id.desc()).limit(1)).one_or_none()
        count = connection.scalar(sa.select(sa.func.count()).where(mine)) or 0
    return None if row is None else (row.id, dict(row.data), int(count) - 1)


def numbered(catalogue: Catalogue, image_key: str, number: int) -> dict[str, Any] | None:
    """What was recorded of an image under a number; None where there is none."""
    query = sa.select(results.c.data).where(results.c.image_key == image_key, results.c.id == number)
    with catalogue.read() as connection:
        found = connection.scalar(query)
    return None if found is None else dict(found)
