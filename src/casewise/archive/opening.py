"""Finding or making an archive's folder: ``casewise.toml`` says its version and where its catalogue is."""

from __future__ import annotations

import os
import sqlite3
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
import tomli_w

from casewise.archive.catalogue import SCHEMA_VERSION, Catalogue, check_version
from casewise.archive.description import DESCRIPTION, description
from casewise.archive.failures import sentence_for, translated
from casewise.archive.leftovers import clean
from casewise.archive.remote.address import Address
from casewise.archive.remote.objects import check
from casewise.archive.remote.sentences import ObjectError
from casewise.archive.remote.setting import described, remote_of
from casewise.errors import ArchiveError
from casewise.files import replacing

CATALOGUE = "catalogue.sqlite"


def opened(folder: Path, create: bool, database: str | None, storage: str | None = None) -> tuple[Path, Catalogue]:
    """The folder (absolute) and its catalogue, checked. database, storage : as of ``Archive.open``."""
    folder = folder.absolute()
    if (folder / DESCRIPTION).is_file():
        place = None if storage is None else Address.parse(storage)
        if place is not None and place != remote_of(folder).place:
            msg = f"{folder} is there already, and its files lie elsewhere; --storage is for a new archive."
            raise ArchiveError(msg)
        catalogue = _existing(folder, database)
        clean(folder)
        catalogue.check_there = _presence(folder)
        return folder, catalogue
    if not create:
        raise ArchiveError(_no_archive(folder))
    catalogue = _made(folder, database, storage)
    catalogue.check_there = _presence(folder)
    return folder, catalogue


def database_of(folder: Path) -> sa.URL | None:
    """The PostgreSQL address of an archive's catalogue; None for SQLite beside its files."""
    url = description(folder).get("database")
    return None if url is None else _with_driver(sa.make_url(str(url)))


def subsets_in(folder: Path) -> list[dict[str, object]]:
    """What ``subsets/<model>/subsets.toml`` files in the archive say."""
    found: list[dict[str, object]] = []
    for path in sorted((folder / "subsets").glob("*/subsets.toml")):
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
            rows = [
                {**entry, "model": str(path.parent / entry["model"]), "parent": document["parent"]} for entry in document["subsets"]
            ]
        except (OSError, ValueError, KeyError, TypeError) as error:
            msg = f"The subsets in {path.parent} cannot be read ({type(error).__name__}); delete that folder and make them again."
            raise ArchiveError(msg) from error
        found += rows
    return found


def _presence(folder: Path) -> Callable[[], None]:
    """What raises ArchiveError once the archive's folder is no longer the one that was opened, or holds no archive."""

    def identity() -> tuple[int, int] | None:
        try:
            about = folder.stat()
            (folder / DESCRIPTION).stat()
        except OSError:
            return None
        return about.st_dev, about.st_ino

    opened_as = identity()

    def check() -> None:
        if identity() != opened_as:
            msg = f"The archive at {folder} was moved, deleted or replaced while it was in use; open it where it is now."
            raise ArchiveError(msg)

    return check


def _no_archive(folder: Path) -> str:
    if not folder.exists():
        return f"There is no archive at {folder}; make one with `casewise import {folder} IMAGES`."
    if not folder.is_dir():
        return f"{folder} is a file, and an archive is a folder; give the folder that `casewise import` made."
    return f"{folder} is no archive: it holds no {DESCRIPTION}; give the folder that `casewise import` made."


def _existing(folder: Path, database: str | None) -> Catalogue:
    about = description(folder)
    check_version(about.get("version"))
    url = database or about.get("database")
    catalogue = _sqlite(folder) if url is None else _postgresql(str(url))
    try:
        catalogue.check()
    except ArchiveError:
        catalogue.close()
        raise
    return catalogue


def _sqlite(folder: Path) -> Catalogue:
    path = folder / CATALOGUE
    if not path.is_file():
        msg = (
            f"{folder} has lost its catalogue ({CATALOGUE}); restore the archive from a copy, or import its images into a new one."
        )
        raise ArchiveError(msg)
    if os.access(folder, os.W_OK) and os.access(path, os.W_OK):
        return Catalogue(_url(path))
    # Without a log of changes beside it nothing can change under us, and SQLite need not make the files that it would share one by.
    log = path.with_name(path.name + "-wal")
    quiet = not log.exists() or log.stat().st_size == 0
    query = {"mode": "ro", "uri": "true"} | ({"immutable": "1"} if quiet else {})
    return Catalogue(sa.URL.create("sqlite", database=path.as_uri(), query=query), read_only=True)


def _made(folder: Path, database: str | None, storage: str | None) -> Catalogue:
    place = _checked(storage)
    if folder.exists() and not folder.is_dir():
        raise ArchiveError(_no_archive(folder))
    with translated():
        folder.mkdir(parents=True, exist_ok=True)
        if database is None:
            _use_log(folder / CATALOGUE)
            catalogue = Catalogue(_url(folder / CATALOGUE))
        else:
            catalogue = _postgresql(database)
        catalogue.create()
        about: dict[str, object] = {"version": SCHEMA_VERSION, **described(place)}
        if database is not None:
            about["database"] = sa.make_url(database)._replace(password=None).render_as_string(hide_password=False)
        # Last of all: a folder with this file is a whole archive.
        with replacing(folder / DESCRIPTION) as beside:
            beside.write_text(tomli_w.dumps(about), encoding="utf-8")
    return catalogue


def _checked(storage: str | None) -> Address | None:
    """Where the files of a new archive are to lie, if it can be reached."""
    if storage is None:
        return None
    place = Address.parse(storage)
    try:
        check(place)
    except ObjectError as error:
        raise ArchiveError(str(error)) from error
    return place


def _use_log(path: Path) -> None:
    """Readers and a writer at once; the setting is stored in the file. Several makers at once take turns."""
    for attempt in range(200):
        connection = sqlite3.connect(path, timeout=60, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            # SQLite does not wait by itself for this one.
            if "locked" not in str(error) or attempt == 199:
                raise ArchiveError(sentence_for(str(error))) from error
            time.sleep(0.05)
        else:
            return
        finally:
            connection.close()


def _postgresql(url: str) -> Catalogue:
    with translated():
        given = sa.make_url(url)
        if given.get_backend_name() != "postgresql":
            address = given.render_as_string(hide_password=True)
            msg = f"A catalogue is SQLite (no URL) or PostgreSQL (postgresql+psycopg://user@host/database); got {address}."
            raise ArchiveError(msg)
        try:
            return Catalogue(_with_driver(given))
        except ModuleNotFoundError as error:
            msg = "PostgreSQL needs the driver psycopg; install it with: pip install 'casewise[postgres]'."
            raise ArchiveError(msg) from error


def _with_driver(url: sa.URL) -> sa.URL:
    return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url


def _url(path: Path) -> sa.URL:
    return sa.URL.create("sqlite", database=str(path))
