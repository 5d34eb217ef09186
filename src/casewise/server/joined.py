"""Connections that see the archive's catalogue and the server's own tables at once, for lists that are filtered by both."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from casewise.archive import Archive
from casewise.archive.opening import CATALOGUE
from casewise.server.store import FILE, Store

_WAIT_SECONDS = 30


def joined(archive: Archive, store: Store) -> sa.Engine:
    """An engine for reading alone. No two tables share a name, so each is found under its own.

    On PostgreSQL they lie in one database. On SQLite the catalogue's file is attached to the server's.
    """
    if store.engine.dialect.name != "sqlite":
        return store.engine
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(archive.folder / FILE)), connect_args={"timeout": _WAIT_SECONDS})

    def attach(connection: Any, _record: object) -> None:
        connection.execute("ATTACH DATABASE ? AS catalogue", (str(archive.folder / CATALOGUE),))
        connection.execute("PRAGMA query_only=ON")

    sa.event.listen(engine, "connect", attach)
    return engine
