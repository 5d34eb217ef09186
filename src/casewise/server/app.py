"""``create_app``: the calls, the pages and the rules of one server, in one application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from casewise.archive import Archive
from casewise.errors import CasewiseError
from casewise.server import pages
from casewise.server.compat import monailabel, nninteractive
from casewise.server.jobs import Jobs
from casewise.server.routes import admin, cases, health, images, jobs, models, results, sessions, sets
from casewise.server.services import Services
from casewise.server.sessions import Sessions
from casewise.server.settings import Settings
from casewise.server.store import Store

_SUBJECTS = (cases, images, sessions, jobs, sets, results, models, admin)


def create_app(archive: Archive, store: Store, settings: Settings | None = None) -> FastAPI:
    """The application that serves ``archive``; it opens and closes neither the archive nor the store."""
    settings = settings or Settings()
    shared = Services(archive, store, settings, Jobs(store), Sessions(archive, store, settings))
    # The documentation pages that come with FastAPI load scripts from elsewhere.
    app = FastAPI(title="casewise", docs_url=None, redoc_url=None, lifespan=_lifespan, redirect_slashes=True)
    app.state.services = shared
    app.add_exception_handler(CasewiseError, _refused)
    for subject in _SUBJECTS:
        app.include_router(subject.router, prefix="/api/v1")
    app.include_router(health.router)
    app.include_router(monailabel.router)
    app.include_router(nninteractive.router, prefix="/nninteractive")
    pages.add(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield


async def _refused(request: Request, error: Exception) -> JSONResponse:
    """An error of the user's: its one sentence."""
    return JSONResponse({"detail": str(error)}, status_code=400)
