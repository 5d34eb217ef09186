"""The catalogue: the archive's tables, in SQLite beside the files or in PostgreSQL, and the transactions on them.

Writers take turns: SQLite by ``BEGIN IMMEDIATE`` and waiting, PostgreSQL by one advisory lock that a transaction holds to its
end. So whatever a transaction has read stays true until it is committed, and numbers given out in one are never given out twice.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from casewise.archive.columns import Json, boxes, lengths, mapping, numbers, sizes, texts, written
from casewise.archive.failures import translated
from casewise.errors import ArchiveError

SCHEMA_VERSION = 1
_WAIT_SECONDS = 120
_WRITERS_LOCK = 0x6361736577697365  # "casewise": the advisory lock that PostgreSQL's writers share

# Rows of ``meta``, with another text after each transaction that changed or removed rows of ``images``, or wrote any of ``labels``:
# by these a reader notices that what it keeps of the catalogue is no longer true. Images that were added are noticed by their ids.
CHANGES = {"images": "images changed", "labels": "labels changed"}

metadata = sa.MetaData()

_UNPAIRED = re.compile("[\udc80-\udcff]|\ufdd0")
_WRITTEN = re.compile("\ufdd0([0-9a-f]{2}|-)")


class Text(sa.types.TypeDecorator[str]):
    """Text that may hold bytes of a file's name that are not UTF-8: no database takes these as Python holds them.

    Such a byte is written as U+FDD0, which is no character of any script, and its two hexadecimal digits.
    """

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        if value is None or value.isascii():
            return value
        return _UNPAIRED.sub(lambda found: "\ufdd0" + (f"{ord(found[0]) - 0xDC00:02x}" if found[0] != "\ufdd0" else "-"), value)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> str | None:
        if value is None or "\ufdd0" not in value:
            return value
        return _WRITTEN.sub(lambda found: "\ufdd0" if found[1] == "-" else chr(0xDC00 + int(found[1], 16)), value)


meta = sa.Table(
    "meta",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("value", sa.String, nullable=False),
)

# One row an image content. `path` is where it is read from (relative: inside the archive), `name` what it was called when added,
# `files` the names inside `path` of a series of several files.
images = sa.Table(
    "images",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", Text, nullable=False, unique=True),
    sa.Column("path", Text, nullable=False, index=True),
    sa.Column("member", Text),
    sa.Column("name", Text, nullable=False),
    sa.Column("kind", Text, nullable=False),
    sa.Column("files", Json("files", texts), nullable=False),
    sa.Column("copied", sa.Boolean, nullable=False, default=False),
    sa.Column("shape", Json("shape", lengths), nullable=False),
    sa.Column("channels", sa.Integer, nullable=False),
    sa.Column("spacing", Json("spacing", sizes), nullable=False),
    sa.Column("modality", Text),
    sa.Column("sequence", Text),
    sa.Column("category", Text, index=True),
    sa.Column("site", Text, index=True),
    sa.Column("subject", Text),
    sa.Column("age", sa.Float),
    sa.Column("sex", Text),
    sa.Column("content", Json("content", mapping), nullable=False),
)

# `value`: None for every non-zero voxel, else the list of values whose union it is. `boxes`: [[[lo, hi], …], …] for kind boxes.
labels = sa.Table(
    "labels",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("image_id", sa.ForeignKey("images.id", ondelete="CASCADE"), nullable=False),
    sa.Column("name", Text, nullable=False),
    sa.Column("kind", Text, nullable=False),
    sa.Column("path", Text),
    sa.Column("member", Text),
    sa.Column("value", Json("value", numbers, none=True)),
    sa.Column("boxes", Json("boxes", boxes, none=True)),
    sa.Column("origin", Json("origin", mapping), nullable=False),
    sa.UniqueConstraint("image_id", "kind", "name"),
)

# One row a file that was looked at, by which an unchanged file need not be read again.
# state: image, label, failed, skipped, table, manifest. images: keys of the images in it (for a label: those it was tried on). A
# series' keys stand in the row of its first file alone.
files = sa.Table(
    "files",
    metadata,
    sa.Column("path", Text, primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("mtime_ns", sa.BigInteger, nullable=False),
    sa.Column("key", Text),
    sa.Column("state", Text, nullable=False),
    sa.Column("reason", Text),
    sa.Column("images", Json("images", texts), nullable=False),
)

embeddings = sa.Table(
    "embeddings",
    metadata,
    sa.Column("encoder_key", Text, primary_key=True),
    sa.Column("image_id", sa.ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("row", sa.Integer, nullable=False),
    sa.UniqueConstraint("encoder_key", "row"),
)

# Rows of vectors given out to an encoder so far: a number is never given twice, even where an image has gone since.
encoders = sa.Table(
    "encoders",
    metadata,
    sa.Column("key", Text, primary_key=True),
    sa.Column("dimension", sa.Integer, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
)

models = sa.Table(
    "models",
    metadata,
    sa.Column("key", Text, primary_key=True),
    sa.Column("name", Text, nullable=False),
    sa.Column("path", Text, nullable=False),
    sa.Column("data", Json("data", mapping), nullable=False),
)

results = sa.Table(
    "results",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("image_key", Text, index=True),
    sa.Column("data", sa.JSON, nullable=False),
)


class Catalogue:
    """The tables behind one archive.

    url : of SQLAlchemy. read_only : nothing can be written, nothing will be tried. check_there : raises ArchiveError where the
    archive's folder has gone; called before each reading and each transaction, and before that is committed.
    """

    def __init__(self, url: str | sa.URL, *, read_only: bool = False, check_there: Callable[[], None] | None = None) -> None:
        self.read_only = read_only
        self.check_there = check_there or (lambda: None)
        self.engine = _engine(sa.make_url(url))

    @property
    def _insert(self) -> Any:
        return postgresql.insert if self.engine.dialect.name == "postgresql" else sqlite.insert

    def create(self) -> None:
        """Make the tables that are missing, and write which version they are of."""
        with self.write() as connection:
            metadata.create_all(connection)
            self._compress(connection)
            self.insert_new(connection, meta, [{"name": "schema", "value": str(SCHEMA_VERSION)}])

    def _compress(self, connection: sa.Connection) -> None:
        """On PostgreSQL, results are packed by lz4, which takes a tenth of the time of its own way, where it was built with it."""
        if self.engine.dialect.name == "postgresql":
            with suppress(sa.exc.DBAPIError), connection.begin_nested():
                connection.execute(sa.text("ALTER TABLE results ALTER COLUMN data SET COMPRESSION lz4"))

    def check(self) -> None:
        """Raise ArchiveError unless the tables are there and of a version that this casewise knows."""
        with self.read() as connection:
            if not sa.inspect(connection).has_table("meta"):
                msg = (
                    "The archive's catalogue holds no tables; restore the archive from a copy, or import its images into a new one."
                )
                raise ArchiveError(msg)
            version = connection.scalar(sa.select(meta.c.value).where(meta.c.name == "schema"))
        check_version(version)

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection that sees one state of the catalogue."""
        self.check_there()
        with translated(), self.engine.connect() as connection:
            if self.engine.dialect.name == "postgresql":
                # Else each statement sees what was committed before it, and two of them may contradict each other.
                connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction in which this process alone writes: whole when the block ends, gone if it raises."""
        if self.read_only:
            msg = "The archive cannot be written here (its folder or catalogue is read-only); give write permission, or copy it."
            raise ArchiveError(msg)
        self.check_there()
        with translated(), self.engine.connect().execution_options(casewise_write=True) as connection, connection.begin():
            if self.engine.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_WRITERS_LOCK)))
            changed = _changes(connection)
            yield connection
            marks = [{"name": CHANGES[table], "value": secrets.token_hex(8)} for table in sorted(changed)]
            self.replace(connection, meta, marks)
            # SQLite would go on writing into a file that nobody can open any more.
            self.check_there()

    def below(self, column: sa.ColumnElement[str], folder: Path) -> sa.ColumnElement[bool]:
        """Whether the path in a column lies in ``folder`` or below; it may hold for others whose capitals differ."""
        start = str(folder) if str(folder).endswith(os.sep) else f"{folder}{os.sep}"
        if self.engine.dialect.name == "sqlite":
            # A range is sought in the column's index; SQLite's LIKE reads every path of the archive.
            return sa.and_(column >= start, column < start[:-1] + chr(ord(os.sep) + 1))
        return column.startswith(start, autoescape=True)

    def insert_new(self, connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert those of ``rows`` that break no unique constraint."""
        if rows:
            connection.execute(self._insert(table).on_conflict_do_nothing(), list(rows))

    def replace(self, connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert ``rows``, or overwrite those of the same primary key."""
        if not rows:
            return
        keys = [column.name for column in table.primary_key]
        statement = self._insert(table)
        others = {name: statement.excluded[name] for name in rows[0] if name not in keys}
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=others), list(rows))

    def close(self) -> None:
        self.engine.dispose()


def check_version(version: object) -> None:
    """Raise ArchiveError for the version of a newer casewise, or for none."""
    text = str(version)
    if not (text.isascii() and text.isdecimal()) or len(text) > 9 or int(text) < 1:
        msg = f"The archive does not say its version (it should be a number from 1, it is {text[:20]!r}); restore it from a copy."
        raise ArchiveError(msg)
    if int(text) > SCHEMA_VERSION:
        msg = f"The archive is of version {text} and this casewise reads versions up to {SCHEMA_VERSION}; install a newer casewise."
        raise ArchiveError(msg)


def _changes(connection: sa.Connection) -> set[str]:
    """Names of the tables of :data:`CHANGES` that this transaction changes; it fills while statements are executed."""
    changed: set[str] = set()

    def note(_connection: object, statement: object, *_: object) -> None:
        if isinstance(statement, sa.Update | sa.Delete | sa.Insert):
            name = statement.table.name if isinstance(statement.table, sa.Table) else ""
            if name == labels.name or (name == images.name and not isinstance(statement, sa.Insert)):
                changed.add(name)

    sa.event.listen(connection, "after_execute", note)
    return changed


def _engine(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_pre_ping=True, json_serializer=written)
    engine = sa.create_engine(url, connect_args={"timeout": _WAIT_SECONDS}, json_serializer=written)
    sa.event.listen(engine, "connect", _prepare)
    sa.event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: Any, _record: object) -> None:
    # Transactions are begun by `_begin`, not by the driver, which would begin them as readers and fail as writers.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=FULL")


def _begin(connection: sa.Connection) -> None:
    write = connection.get_execution_options().get("casewise_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
