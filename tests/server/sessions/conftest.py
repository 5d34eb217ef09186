"""An archive, its server, and people who outline in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from casewise.archive import Archive
from casewise.server.app import create_app
from casewise.server.settings import Settings
from casewise.server.store import Store
from tests.server.people import signed_in
from tests.server.sessions.annotators import Annotator


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """An empty one."""
    with Archive.open(tmp_path / "archive", create=True) as opened:
        yield opened


@pytest.fixture
def app(archive: Archive) -> Iterator[FastAPI]:
    store = Store.open(archive.folder)
    yield create_app(archive, store, Settings())
    store.close()


@pytest.fixture
def annotator(app: FastAPI) -> Callable[[str], Annotator]:
    """Someone at the page, by name."""
    return lambda user: Annotator(signed_in(app, "annotator", user))
