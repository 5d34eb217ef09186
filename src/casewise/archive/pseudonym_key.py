"""The secret key with which an archive makes pseudonyms of patients, and the renewal of archives that were made without one.

The key lies in the archive's folder (``pseudonyms.key``, for the owner alone), also where the catalogue is in PostgreSQL. Whoever
has it can find out whether a patient whose identifier they know is in the archive; without it pseudonyms say nothing.
"""

from __future__ import annotations

import re
import secrets
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import sqlalchemy as sa

from casewise.archive.catalogue import Catalogue, images, meta
from casewise.archive.failures import translated
from casewise.archive.words import sequence_in
from casewise.errors import ArchiveError
from casewise.files import replacing
from casewise.formats import Kind
from casewise.formats.dicom.pseudonyms import keyed, under
from casewise.formats.dicom.sequence_words import description_words, machine_words, view_words
from casewise.header import Header

FILE = "pseudonyms.key"
_NAME = "pseudonyms"  # of the row of ``meta`` that says which key the pseudonyms are made with
_BYTES = 32
_PLAIN = re.compile(r"[0-9a-f]{16}")


def prepare(folder: Path, catalogue: Catalogue) -> None:
    """See to it that the archive has its key; an older archive's plain hashes and free text are replaced.

    Does nothing in an archive that cannot be written.
    """
    if catalogue.read_only or _fingerprint(catalogue) is not None:
        return
    renewed = 0
    with catalogue.write() as connection:
        if connection.scalar(sa.select(meta.c.value).where(meta.c.name == _NAME)) is not None:
            return
        key = _made(folder / FILE)
        renewed = _renew(connection, key)
        connection.execute(sa.insert(meta).values(name=_NAME, value=keyed(key, _NAME)))
    if renewed:
        _forget_old_pages(catalogue)


def key_of(folder: Path, catalogue: Catalogue) -> bytes:
    """The archive's key. Raises ArchiveError where it is lost, or another archive's."""
    path = folder / FILE
    fingerprint = _fingerprint(catalogue)  # first of all: this notices an archive that has gone
    with translated():
        key = path.read_bytes() if path.is_file() else b""
    if len(key) != _BYTES or fingerprint != keyed(key, _NAME):
        msg = (
            f"{path} is missing or is not this archive's key, so that patients imported now would not be known as those imported "
            "before; restore it from a copy of the archive, or import into a new one."
        )
        raise ArchiveError(msg)
    return key


def subject_under(key: bytes, header: Header) -> str | None:
    """Who an image is of, by its header: a DICOM patient's pseudonym under the archive's key, any other as it stands there."""
    if not header.subject:
        return None
    return under(key, header.subject) if header.format == Kind.DICOM.value else header.subject


def _fingerprint(catalogue: Catalogue) -> str | None:
    with catalogue.read() as connection:
        value = connection.scalar(sa.select(meta.c.value).where(meta.c.name == _NAME))
    return None if value is None else str(value)


def _made(path: Path) -> bytes:
    """The key in a file; a new one where there is none. Only one writer at a time comes here."""
    with translated():
        if path.is_file() and path.stat().st_size == _BYTES:
            return path.read_bytes()
        key = secrets.token_bytes(_BYTES)
        with replacing(path, durable=True) as beside:
            beside.touch(0o600, exist_ok=False)
            beside.write_bytes(key)
    return key


def _renew(connection: sa.Connection, key: bytes) -> int:
    """Replace plain hashes by pseudonyms, and free text of DICOM headers by its words that are of the vocabulary."""
    renewed = 0
    for row in connection.execute(sa.select(images)).all():
        changed: dict[str, object] = {}
        if row.subject is not None and _PLAIN.fullmatch(row.subject):
            changed["subject"] = keyed(key, row.subject)
        if row.kind == Kind.DICOM.value or "series_description" in row.content:
            content = _without_free_text(row.content)
            changed |= {"content": content} if content != row.content else {}
            sequence = row.sequence and (sequence_in(row.sequence) or description_words(row.sequence)[0] or None)
            changed |= {"sequence": sequence} if sequence != row.sequence else {}
        if changed:
            connection.execute(sa.update(images).where(images.c.id == row.id).values(**changed))
            renewed += 1
    return renewed


def _without_free_text(content: Mapping[str, object]) -> dict[str, object]:
    words = {name: lambda text: description_words(text)[0] for name in ("series_description", "sequence_name", "body_part")}
    words |= {"manufacturer": machine_words, "scanner": machine_words, "view": view_words}
    kept = {name: words[name](value) if name in words and isinstance(value, str) else value for name, value in content.items()}
    return {name: value for name, value in kept.items() if value != ""}


def _forget_old_pages(catalogue: Catalogue) -> None:
    """Write SQLite's file anew, so that nothing of what was replaced stays in it; not while another process is at it."""
    database = catalogue.engine.url.database
    if catalogue.engine.dialect.name != "sqlite" or database is None:
        return
    connection = sqlite3.connect(database, timeout=5, isolation_level=None)
    try:
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.OperationalError:
        pass
    finally:
        connection.close()
