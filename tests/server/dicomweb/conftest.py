"""A server of an archive with DICOM studies, and dicomweb-client against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from dicomweb_client import DICOMwebClient
from dicomweb_client.session_utils import create_session
from fastapi import FastAPI

from casewise.archive import Archive
from casewise.server.app import create_app
from casewise.server.settings import Settings
from casewise.server.store import Store
from tests.server.people import signed_in
from tests.server.running import in_thread


@dataclass
class Served:
    """url : of the server. client : of its DICOMweb, as a reader."""

    url: str
    app: FastAPI
    archive: Archive
    store: Store
    client: DICOMwebClient
    token: dict[str, str]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Serve an archive of the DICOM files below folders."""
    with ExitStack() as closing:

        def started(*folders: Path, **settings: Any) -> Served:
            archive = closing.enter_context(Archive.open(tmp_path / f"archive{len(closing._exit_callbacks)}", create=True))
            if folders:
                archive.import_paths(folders)
            store = Store.open(archive.folder)
            closing.callback(store.close)
            app = create_app(archive, store, Settings(requests_per_second=1_000_000, **settings))
            url = closing.enter_context(in_thread(uvicorn.Config(app, log_level="warning")))
            token = {"Authorization": signed_in(app, "reader", "rita").headers["Authorization"]}
            session = create_session()
            session.headers.update(token)
            return Served(url, app, archive, store, DICOMwebClient(f"{url}/dicomweb", session=session), token)

        yield started
