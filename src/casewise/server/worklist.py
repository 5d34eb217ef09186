"""The worklist: the archive's images by filters and pages, from the catalogue and the server's tables; no image is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from casewise.archive import Archive
from casewise.archive.catalogue import images, labels
from casewise.errors import UsageError
from casewise.server import readings as readings_of
from casewise.server.joined import joined
from casewise.server.store import Store, assignments, efforts, reading_findings, readings

NEWEST, FINDING = "newest", "finding"
_NONE = "-"  # in a cursor: a case without a finding's probability


@dataclass(frozen=True)
class Filters:
    """Which cases are listed; None does not filter.

    text : in the file's name (of a DICOM image only with ``named``), the start of the key, or the words of category, site, modality
    and headline. assigned : a person's name; empty for cases that nobody has.
    """

    text: str | None = None
    category: str | None = None
    site: str | None = None
    finding: str | None = None
    state: str | None = None
    assigned: str | None = None
    structure: str | None = None
    named: bool = False


@dataclass(frozen=True)
class Row:
    """A case of the worklist, as the tables have it. structures : names of its masks."""

    id: int
    key: str
    name: str
    path: str
    kind: str
    category: str | None
    site: str | None
    modality: str | None
    shape: Sequence[int]
    content: Mapping[str, object]
    headline: str | None
    findings: Sequence[Mapping[str, Any]]
    state: str
    assigned: str | None
    structures: Sequence[str]


class Worklist:
    """The worklist of one archive."""

    def __init__(self, archive: Archive, store: Store) -> None:
        self._store = store
        self._engine = joined(archive, store)

    def page(self, filters: Filters, order: str, after: str | None, limit: int) -> tuple[list[Row], str | None, int]:
        """(rows, the cursor of the following page or None, how many cases there are in all). Raises UsageError for a bad cursor."""
        readings_of.follow(self._store, self._engine)
        where = _conditions(filters)
        query = _joined(sa.select(*_COLUMNS)).where(*where)
        query = _ordered(query, order, after).limit(limit + 1)
        with self._engine.connect() as connection:
            found = connection.execute(query).all()
            total = connection.scalar(_joined(sa.select(sa.func.count())).where(*where)) or 0
            rows = _rows(connection, found[:limit])
        more = len(found) > limit
        return rows, _cursor(order, found[limit - 1]) if more else None, int(total)

    def rows(self, keys: Sequence[str]) -> list[Row]:
        """The cases of ``keys`` that are there, in this order."""
        readings_of.follow(self._store, self._engine)
        with self._engine.connect() as connection:
            found = connection.execute(_joined(sa.select(*_COLUMNS)).where(images.c.key.in_(list(keys)))).all()
            by_key = {row.key: row for row in _rows(connection, found)}
        return [by_key[key] for key in keys if key in by_key]

    def keys(self, filters: Filters) -> list[str]:
        """Of all cases that the filters leave, in the order in which they came."""
        readings_of.follow(self._store, self._engine)
        query = _joined(sa.select(images.c.key)).where(*_conditions(filters)).order_by(images.c.id)
        with self._engine.connect() as connection:
            return [str(key) for key in connection.scalars(query)]

    def same_subject(self, key: str, limit: int) -> list[str]:
        """Keys of other images of the same person (of the same site), newest first."""
        mine = images.alias("mine")
        same = sa.and_(mine.c.subject == images.c.subject, sa.func.coalesce(mine.c.site, "") == sa.func.coalesce(images.c.site, ""))
        query = sa.select(images.c.key).join(mine, same).where(mine.c.key == key, images.c.key != key)
        with self._engine.connect() as connection:
            return [str(one) for one in connection.scalars(query.order_by(images.c.id.desc()).limit(limit))]

    def counts(self) -> dict[str, dict[str, int]]:
        """How many images there are under each value of each filter, all filters off."""
        number = sa.func.count()
        queries = {
            "category": sa.select(images.c.category, number).where(images.c.category.is_not(None)).group_by(images.c.category),
            "site": sa.select(images.c.site, number).where(images.c.site.is_not(None)).group_by(images.c.site),
            "structure": sa.select(labels.c.name, number).where(labels.c.kind == "mask").group_by(labels.c.name),
            "finding": sa.select(reading_findings.c.label, number).group_by(reading_findings.c.label),
            "assigned": sa.select(assignments.c.user, number).group_by(assignments.c.user),
            "state": _joined(sa.select(_STATE.label("reading"), number)).group_by(sa.text("reading")),
        }
        with self._engine.connect() as connection:
            return {name: {str(value): int(n) for value, n in connection.execute(query)} for name, query in queries.items()}

    def close(self) -> None:
        if self._engine is not self._store.engine:
            self._engine.dispose()


_ANNOTATED = sa.or_(
    sa.exists().where(efforts.c.image_key == images.c.key),
    sa.exists().where(
        labels.c.image_id == images.c.id, labels.c.kind == "mask", labels.c.origin["how"].as_string() == "interactive"
    ),
)
_STATE = sa.case(
    (assignments.c.state == "done", "done"), (_ANNOTATED, "annotated"), (readings.c.result.is_not(None), "analysed"), else_="new"
)
_COLUMNS = (
    *(images.c.id, images.c.key, images.c.name, images.c.path, images.c.kind, images.c.category, images.c.site, images.c.modality),
    *(images.c.shape, images.c.content, readings.c.headline, readings.c.findings, readings.c.top),
    *(_STATE.label("reading"), assignments.c.user.label("assigned")),
)


def _joined(query: sa.Select[Any]) -> sa.Select[Any]:
    read = sa.outerjoin(images, readings, readings.c.image_key == images.c.key)
    return query.select_from(read.outerjoin(assignments, assignments.c.image_key == images.c.key))


def _conditions(filters: Filters) -> list[sa.ColumnElement[bool]]:
    where: list[sa.ColumnElement[bool]] = []
    if filters.category is not None:
        where.append(images.c.category == filters.category)
    if filters.site is not None:
        where.append(images.c.site == filters.site)
    if filters.structure is not None:
        own = (labels.c.image_id == images.c.id, labels.c.kind == "mask", labels.c.name == filters.structure)
        where.append(sa.exists().where(*own))
    if filters.finding is not None:
        found = (reading_findings.c.image_key == images.c.key, reading_findings.c.label == filters.finding)
        where.append(sa.exists().where(*found))
    if filters.state is not None:
        where.append(sa.literal(filters.state) == _STATE)
    if filters.assigned is not None:
        where.append(assignments.c.user == filters.assigned if filters.assigned else assignments.c.user.is_(None))
    if filters.text:
        where.append(_has(filters.text, filters.named))
    return where


def _has(text: str, named: bool) -> sa.ColumnElement[bool]:
    # The base name is what follows the longest beginning that ends in a slash.
    folders = sa.func.rtrim(images.c.name, sa.func.replace(images.c.name, "/", ""))
    base = sa.func.substr(images.c.name, sa.func.length(folders) + 1, type_=sa.String)
    in_name = base.icontains(text, autoescape=True)
    words = (images.c.category, images.c.site, images.c.modality, readings.c.headline)
    return sa.or_(
        in_name if named else sa.and_(images.c.kind != "DICOM", in_name),
        images.c.key.startswith(text.lower(), autoescape=True),
        *(sa.type_coerce(column, sa.String).icontains(text, autoescape=True) for column in words),
    )


def _ordered(query: sa.Select[Any], order: str, after: str | None) -> sa.Select[Any]:
    if order == NEWEST:
        query = query.order_by(images.c.id.desc())
        return query if after is None else query.where(images.c.id < _whole(after, after))
    query = query.order_by(readings.c.top.is_(None), readings.c.top.desc(), images.c.id.desc())
    if after is None:
        return query
    top, _, number = after.partition("_")
    earlier = images.c.id < _whole(number, after)
    if top == _NONE:
        return query.where(readings.c.top.is_(None), earlier)
    try:
        last = float(top)
    except ValueError:
        raise UsageError(_bad(after)) from None
    return query.where(sa.or_(readings.c.top.is_(None), readings.c.top < last, sa.and_(readings.c.top == last, earlier)))


def _cursor(order: str, row: Any) -> str:
    if order == NEWEST:
        return str(row.id)
    return f"{_NONE if row.top is None else repr(float(row.top))}_{row.id}"


def _whole(text: str, given: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 15:
        raise UsageError(_bad(given))
    return int(text)


def _bad(cursor: str) -> str:
    return f"after is what the page before gave as next, for the same order; got {cursor[:40]!r}."


def _rows(connection: sa.Connection, found: Sequence[Any]) -> list[Row]:
    held: dict[int, list[str]] = {row.id: [] for row in found}
    query = sa.select(labels.c.image_id, labels.c.name).where(labels.c.kind == "mask", labels.c.image_id.in_(list(held)))
    for number, name in connection.execute(query.order_by(labels.c.id)):
        held[number].append(name)
    return [
        Row(
            *(row.id, row.key, row.name, row.path, row.kind, row.category, row.site, row.modality, row.shape, row.content),
            *(row.headline, row.findings or [], row.reading, row.assigned, held[row.id]),
        )
        for row in found
    ]
