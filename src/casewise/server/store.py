"""The server's own tables: jobs, people, sessions, sets, verdicts; not the catalogue, whose writers take turns.

SQLite in a file of its own beside the catalogue (WAL, so that a heartbeat never waits for an import), or tables ``server_*`` in the
PostgreSQL database that holds the archive's catalogue. Those of the DICOM network are in ``network_tables``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from casewise.archive.opening import database_of
from casewise.errors import ArchiveError
from casewise.server import network_tables

FILE = "server.sqlite"
SCHEMA_VERSION = 1
_WAIT_SECONDS = 30
_MAKING = 0x63617365  # the number of the lock under which the tables are made; any that nobody else uses

metadata = sa.MetaData()
_Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")

meta = sa.Table(
    "server_meta",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("value", sa.String, nullable=False),
)

# Times are seconds since 1970 (UTC). state: waiting, running, done, failed, dead, stopped.
jobs = sa.Table(
    "server_jobs",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False, index=True),
    sa.Column("priority", sa.Integer, nullable=False, default=0),
    sa.Column("payload", sa.JSON, nullable=False),
    sa.Column("unique_key", sa.String, index=True),
    sa.Column("tries", sa.Integer, nullable=False, default=0),
    sa.Column("run_after", sa.Float, nullable=False, default=0.0),
    sa.Column("lease_until", sa.Float),
    sa.Column("worker", sa.String),
    sa.Column("done", sa.Integer, nullable=False, default=0),
    sa.Column("total", sa.Integer, nullable=False, default=0),
    sa.Column("message", sa.String, nullable=False, default=""),
    sa.Column("error", sa.String),
    sa.Column("result", sa.JSON),
    sa.Column("stop", sa.Boolean, nullable=False, default=False),
    sa.Column("created_by", sa.String),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("started", sa.Float),
    sa.Column("changed", sa.Float, nullable=False, index=True),
    sa.Column("ended", sa.Float),
)
_open = jobs.c.state.in_(("waiting", "running"))
sa.Index("server_jobs_open", jobs.c.unique_key, unique=True, sqlite_where=_open, postgresql_where=_open)

# Processes that do jobs, and when each was last heard from.
workers = sa.Table(
    "server_workers",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("seen", sa.Float, nullable=False),
)

# role: reader, annotator, admin. password: argon2id; None for people who sign in elsewhere.
# source: own or oidc. subject: who they are at that provider, since a name can change hands there.
users = sa.Table(
    "server_users",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("role", sa.String, nullable=False),
    sa.Column("password", sa.String),
    sa.Column("source", sa.String, nullable=False, default="own"),
    sa.Column("subject", sa.String),
    sa.Column("disabled", sa.Boolean, nullable=False, default=False),
    sa.Column("created", sa.Float, nullable=False),
)

# Bearer tokens. hash: SHA-256 of the token.
tokens = sa.Table(
    "server_tokens",
    metadata,
    sa.Column("hash", sa.String, primary_key=True),
    sa.Column("id", sa.String, nullable=False, unique=True),
    sa.Column("user", sa.String, nullable=False),
    sa.Column("role", sa.String, nullable=False),
    sa.Column("note", sa.String, nullable=False, default=""),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("expires", sa.Float, nullable=False),
)

# Cookies of people who are signed in. hash: SHA-256 of the cookie.
logins = sa.Table(
    "server_logins",
    metadata,
    sa.Column("hash", sa.String, primary_key=True),
    sa.Column("user", sa.String, nullable=False),
    sa.Column("role", sa.String, nullable=False),
    sa.Column("seen", sa.Float, nullable=False),
    sa.Column("expires", sa.Float, nullable=False),
)

# Links that sign in whoever opens them, once. hash: SHA-256 of the link's secret.
links = sa.Table(
    "server_links",
    metadata,
    sa.Column("hash", sa.String, primary_key=True),
    sa.Column("expires", sa.Float, nullable=False),
)

# Rows are only ever added. hash: SHA-256 over the row and the hash of the row before it.
audit = sa.Table(
    "server_audit",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("time", sa.Float, nullable=False, index=True),
    sa.Column("user", sa.String, nullable=False),
    sa.Column("address", sa.String, nullable=False),
    sa.Column("action", sa.String, nullable=False),
    sa.Column("object", sa.String, nullable=False, default=""),
    sa.Column("outcome", sa.String, nullable=False, default="done"),
    sa.Column("hash", sa.String, nullable=False),
)

# Interactive sessions that can be resumed; path: of the saved session, relative to the archive's folder.
sessions = sa.Table(
    "server_sessions",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("user", sa.String, nullable=False),
    sa.Column("image_key", sa.String, nullable=False, index=True),
    sa.Column("data", sa.JSON, nullable=False),
    sa.Column("path", sa.String),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("seen", sa.Float, nullable=False),
)

# Which series a DICOM image of the archive is, as its file says; uid: never empty since a file that cannot be read is tried again.
series = sa.Table(
    "server_series",
    metadata,
    sa.Column("image_key", sa.String, primary_key=True),
    sa.Column("uid", sa.String, nullable=False, index=True),
)

# What MONAI Label's clients note beside an image (tag empty) or beside its label of a tag. path: of a label that is no accepted
# mask (a model's, a draft), relative to the archive's folder.
client_notes = sa.Table(
    "server_client_notes",
    metadata,
    sa.Column("image_key", sa.String, primary_key=True),
    sa.Column("tag", sa.String, primary_key=True),
    sa.Column("data", sa.JSON, nullable=False),
    sa.Column("path", sa.String),
)

# Names by which clients speak of images that they sent.
client_names = sa.Table(
    "server_client_names",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("image_key", sa.String, nullable=False),
)

# A set: the images in which one structure is to be outlined, by a strategy that says which comes next.
sets = sa.Table(
    "server_sets",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("name", sa.String, nullable=False, unique=True),
    sa.Column("structure", sa.String, nullable=False),
    sa.Column("strategy", sa.String, nullable=False),
    sa.Column("created_by", sa.String),
    sa.Column("created", sa.Float, nullable=False),
)

# state: waiting, open, accepted, skipped, excluded. user, taken: whose an open image is, and since when; of a waiting one, for
# whom it is being prepared. doubt: 0 certain … 1, how far the accepted mask is from what the others predict. uncertainty: of an
# image that waits, 0 … 1, how far the accepted masks disagree about it; measured: how many of them there were then.
set_images = sa.Table(
    "server_set_images",
    metadata,
    sa.Column("set_id", sa.ForeignKey("server_sets.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("image_key", sa.String, primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("state", sa.String, nullable=False, default="waiting"),
    sa.Column("user", sa.String),
    sa.Column("taken", sa.Float),
    sa.Column("strokes", sa.Integer),
    sa.Column("seconds", sa.Float),
    sa.Column("doubt", sa.Float),
    sa.Column("uncertainty", sa.Float),
    sa.Column("measured", sa.Integer),
    sa.Column("reason", sa.String, nullable=False, default=""),
    sa.Column("ended", sa.Float),
)

# Who reads a case in the worklist, and how far they are: open, done.
assignments = sa.Table(
    "server_assignments",
    metadata,
    sa.Column("image_key", sa.String, primary_key=True),
    sa.Column("user", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False, default="open"),
    sa.Column("changed", sa.Float, nullable=False),
)

# The newest result of each image as the worklist lists it: made of the catalogue's results, and made again from them at any time.
# result: the result's number in the catalogue. top: the probability of the most probable finding.
readings = sa.Table(
    "server_readings",
    metadata,
    sa.Column("image_key", sa.String, primary_key=True),
    sa.Column("result", _Id, nullable=False, index=True),
    sa.Column("headline", sa.String, nullable=False),
    sa.Column("top", sa.Float, index=True),
    sa.Column("findings", sa.JSON, nullable=False),
)

reading_findings = sa.Table(
    "server_reading_findings",
    metadata,
    sa.Column("label", sa.String, primary_key=True),
    sa.Column("image_key", sa.String, primary_key=True),
)

# What people think of findings; the newest of a person and a finding counts, the older ones stay.
verdicts = sa.Table(
    "server_verdicts",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("image_key", sa.String, nullable=False, index=True),
    sa.Column("result", sa.String, nullable=False),
    sa.Column("finding", sa.Integer, nullable=False),
    sa.Column("application", sa.String, nullable=False),
    sa.Column("label", sa.String, nullable=False),
    sa.Column("agree", sa.Boolean, nullable=False),
    sa.Column("note", sa.String, nullable=False, default=""),
    sa.Column("user", sa.String, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
)

# How an image was segmented: the measure of success.
efforts = sa.Table(
    "server_efforts",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("image_key", sa.String, nullable=False, index=True),
    sa.Column("structure", sa.String, nullable=False, index=True),
    sa.Column("set_id", sa.Integer),
    sa.Column("user", sa.String, nullable=False),
    sa.Column("strokes", sa.Integer, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("ended", sa.Float, nullable=False),
)


class Store:
    """The engine behind the tables. ``folder``: the archive's."""

    def __init__(self, folder: Path, engine: sa.Engine) -> None:
        self.folder = folder
        self.engine = engine

    @classmethod
    def open(cls, folder: Path) -> Store:
        """The store of the archive in ``folder``; its tables are made where they are missing.

        Raises ArchiveError for the store of a newer casewise, and where it cannot be written.
        """
        store = cls(folder, _engine(folder))
        with store.write() as connection:
            if connection.dialect.name == "postgresql":  # two servers that make the tables at once take turns
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MAKING)))
            for tables in (metadata, network_tables.metadata):
                tables.create_all(connection)
            version = connection.scalar(sa.select(meta.c.value).where(meta.c.name == "schema"))
            if version is None:
                connection.execute(sa.insert(meta).values(name="schema", value=str(SCHEMA_VERSION)))
                connection.execute(sa.insert(meta).values(name="audit_head", value=""))  # see audit.py
            elif int(version) > SCHEMA_VERSION:
                msg = f"The server's store is of version {version}, and this casewise reads {SCHEMA_VERSION}; update casewise."
                raise ArchiveError(msg)
        return store

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        with self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction: whole when the block ends, gone if it raises. On SQLite one writer at a time, for milliseconds."""
        with self.engine.connect().execution_options(casewise_write=True) as connection, connection.begin():
            yield connection

    def close(self) -> None:
        self.engine.dispose()


def _engine(folder: Path) -> sa.Engine:
    url = database_of(folder)
    if url is not None:
        engine = sa.create_engine(url, pool_pre_ping=True)
        sa.event.listen(engine, "connect", _limit)
        return engine
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(folder / FILE)), connect_args={"timeout": _WAIT_SECONDS})
    sa.event.listen(engine, "connect", _prepare)
    sa.event.listen(engine, "begin", _begin)
    return engine


def _limit(connection: Any, _record: object) -> None:
    """A process that stops in the middle of a transaction (its machine sleeps, its network is gone) holds its rows no longer than a
    job's lease.
    """
    connection.execute("SET idle_in_transaction_session_timeout = '60s'")
    connection.commit()


def _prepare(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by `_begin`
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")


def _begin(connection: sa.Connection) -> None:
    write = connection.get_execution_options().get("casewise_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
