"""One clock for all times in the server's tables: the database's, since those of several machines may differ."""

from __future__ import annotations

import time

import sqlalchemy as sa


def now(connection: sa.Connection) -> float:
    """Seconds since 1970."""
    if connection.dialect.name == "sqlite":  # one machine, one clock
        return time.time()
    return float(connection.scalar(sa.select(sa.extract("epoch", sa.func.clock_timestamp()))) or 0)
