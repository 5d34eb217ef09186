"""Fixtures of the server's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from casewise.archive import Archive
from casewise.server.app import create_app
from casewise.server.store import Store
from tests.postgresql import postgresql_server

if TYPE_CHECKING:
    from playwright.sync_api import Playwright


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    """The one of a process: it takes no second one."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as found:
        yield found


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """A PostgreSQL server; the URL of a database in which others can be made."""
    with postgresql_server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def archive_folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The folder of an empty archive, with each kind of database."""
    database = None
    if request.param == "postgresql":
        server = sa.make_url(request.getfixturevalue("postgresql"))
        name = f"test_{abs(hash(tmp_path))}"
        engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
        engine.dispose()
        database = server.set(database=name).render_as_string(hide_password=False)
    folder = tmp_path / "archive"
    Archive.open(folder, create=True, database=database).close()
    return folder


@pytest.fixture
def store(archive_folder: Path) -> Iterator[Store]:
    """The store of an empty archive, with each kind of database."""
    opened = Store.open(archive_folder)
    yield opened
    opened.close()


@pytest.fixture
def app(tmp_path: Path) -> Iterator[FastAPI]:
    """The application of an empty archive on SQLite; clients of it are in ``people``."""
    folder = tmp_path / "archive"
    with Archive.open(folder, create=True) as archive:
        opened = Store.open(folder)
        yield create_app(archive, opened)
        opened.close()
