"""Whether a file is as it was when the archive's catalogue noted it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa


def is_unchanged(row: sa.Row[Any] | None, size: int, mtime_ns: int) -> bool:
    """Whether a file of this size and time of change (ns) is the one of the catalogue's row: if both stay, so does its content."""
    return row is not None and (row.size, row.mtime_ns) == (size, mtime_ns)


def is_there_unchanged(row: sa.Row[Any]) -> bool:
    """Whether the file that a row names is there, and unchanged since it was last imported."""
    try:
        about = Path(row.path).stat()
    except OSError:
        return False
    return is_unchanged(row, about.st_size, about.st_mtime_ns)
