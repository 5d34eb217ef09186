"""What goes wrong with a catalogue or a disk, said in one sentence that says how to mend it."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy.exc

from casewise.archive.columns import DAMAGED
from casewise.errors import ArchiveError

_FULL = "The disk is full; free some space and run the same command again: what was committed is kept."
_READ_ONLY = "The archive cannot be written here (its folder or catalogue is read-only); give write permission, or copy it."
_SENTENCES = {
    "disk is full": _FULL,
    "no space left": _FULL,
    "disk i/o error": "The disk takes no more of the catalogue (it is full or failing); free some space and run the command again.",
    "readonly database": _READ_ONLY,
    "read-only": _READ_ONLY,
    "is locked": "Another program keeps the archive's catalogue locked; wait until it has ended and run the same command again.",
    "malformed": "The archive's catalogue is damaged; restore the archive from a copy, or import the images again.",
    "not a database": "The archive's catalogue is not an SQLite file; restore the archive from a copy, or import the images again.",
    "unable to open": "The archive's catalogue cannot be opened; check that the folder is there and may be read and written.",
    "no such table": "The archive's catalogue lacks a table; restore the archive from a copy, or import the images again.",
    "authentication failed": "PostgreSQL refuses the user or password; give them in the URL, in PGPASSWORD or in ~/.pgpass.",
    "no password supplied": "PostgreSQL wants a password; give it in the URL, in PGPASSWORD or in ~/.pgpass.",
    "does not exist": "PostgreSQL has no such database or user; make it first (createdb), or correct the archive's database URL.",
    "connection": "The archive's PostgreSQL server cannot be reached; start it, or correct the URL in the archive's casewise.toml.",
}
_ERRNOS = {
    errno.ENOSPC: "disk is full",
    errno.EDQUOT: "disk is full",
    errno.EFBIG: "disk is full",
    errno.EROFS: "readonly database",
    errno.EACCES: "readonly database",
    errno.EPERM: "readonly database",
}


@contextmanager
def translated() -> Iterator[None]:
    """Turn what a database or a disk refuses into an ArchiveError."""
    try:
        yield
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise ArchiveError(_sentence(error)) from error
    except json.JSONDecodeError as error:
        raise ArchiveError(DAMAGED.format(what="a column does not hold JSON")) from error
    except OSError as error:
        raise ArchiveError(disk_sentence(error)) from error


def disk_sentence(error: OSError) -> str:
    """What the system refused, and how to mend it."""
    if error.errno in _ERRNOS:
        return _SENTENCES[_ERRNOS[error.errno]]
    return f"The archive cannot be used: {error.strerror or type(error).__name__}; mend that and run the same command again."


def _sentence(error: sqlalchemy.exc.SQLAlchemyError) -> str:
    if isinstance(error, sqlalchemy.exc.ArgumentError | sqlalchemy.exc.NoSuchModuleError):
        return "The database URL is not understood; it looks like postgresql+psycopg://user@host/database."
    # The driver's own words: SQLAlchemy's add the statement and its parameters, which may hold what no log should.
    return sentence_for(str(getattr(error, "orig", None) or type(error).__name__))


def sentence_for(words: str) -> str:
    """What a database driver's words mean, and how to mend it."""
    for mark, sentence in _SENTENCES.items():
        if mark in words.lower():
            return sentence
    return f"The archive's catalogue refused: {words.strip().splitlines()[0]}."
