"""``create_app``: the calls, the pages and the rules of one server, in one application."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from casewise.archive import Archive
from casewise.exchange.node import Node
from casewise.server import exports, ohif, pages, uploads
from casewise.server.access import Reader
from casewise.server.compat import monailabel, nninteractive
from casewise.server.dicom.measures import NetworkMeasures
from casewise.server.dicom.network import Network
from casewise.server.dicomweb import retrieve, search, stow
from casewise.server.dicomweb.holdings import Holdings
from casewise.server.events import Events
from casewise.server.images import ImageCache
from casewise.server.jobs import Jobs
from casewise.server.metrics import CountRequests, Metrics
from casewise.server.nameless import without_places
from casewise.server.pace import Pace
from casewise.server.problems import explain_problems
from casewise.server.repeating import repeated
from casewise.server.routes import (
    admin,
    auth,
    cases,
    dicom,
    files,
    health,
    images,
    jobs,
    login,
    models,
    provider,
    results,
    sessions,
    sets,
)
from casewise.server.schemas.common import Problem
from casewise.server.security import protect
from casewise.server.services import Services
from casewise.server.sessions import Sessions
from casewise.server.settings import Settings
from casewise.server.store import Store
from casewise.server.temporary import remove_left

_SUBJECTS = (cases, files, images, sessions, jobs, sets, results, models, dicom, admin, auth)
_CLEAN_SECONDS = 600.0
_UNCLEAN = "What broken uploads and killed processes left could not be removed; it is tried again."
_WARM_SECONDS = 1.0  # the first page is answered before networks are loaded, which takes the interpreter for seconds
_PROBLEMS: dict[int | str, dict[str, object]] = {"4XX": {"model": Problem, "description": "One sentence says why."}}


def create_app(archive: Archive, store: Store, settings: Settings | None = None, node: Node | None = None) -> FastAPI:
    """The application that serves ``archive``; it opens and closes neither the archive nor the store.

    node : where a process beside this one receives DICOM objects; None where none does.
    """
    settings = settings or Settings()
    held, queue = ImageCache(archive, settings.image_bytes), Jobs(store)
    kept = Sessions(archive, store, settings, held, queue)
    metrics = Metrics(queue, archive.last_result)
    shared = Services(
        archive, store, settings, held, queue, Events(queue, archive.newest), metrics, kept, Pace(archive.last_result), node
    )
    shared.metrics.registry.register(NetworkMeasures(Network(store)))
    shared.sessions.on_accept = shared.sets.accepted
    shared.sessions.on_round = shared.metrics.round_seconds.observe
    shared.metrics.watch("sessions", "Interactive sessions held in memory.", lambda: len(kept))
    shared.metrics.watch("images_cached", "Images held in memory.", lambda: len(held))
    shared.metrics.watch("images_cached_bytes", "Bytes of images held in memory.", lambda: held.bytes)
    # The documentation pages that come with FastAPI load scripts from elsewhere; the document is for whoever has signed in.
    app = FastAPI(title="casewise", docs_url=None, redoc_url=None, openapi_url=None, lifespan=_lifespan, responses=_PROBLEMS)
    app.state.services = shared
    app.state.dicomweb = Holdings(archive, store, settings)
    explain_problems(app, partial(without_places, archive, store, show_names=settings.show_names))
    sessions.add_handlers(app)
    for subject in _SUBJECTS:
        app.include_router(subject.router, prefix="/api/v1")
    app.add_api_route("/openapi.json", _description, include_in_schema=False)
    app.include_router(health.router)
    app.include_router(login.router)
    app.include_router(provider.router)
    app.include_router(monailabel.router)
    app.include_router(nninteractive.router, prefix="/nninteractive")
    app.include_router(stow.router, prefix="/dicomweb")
    app.include_router(search.router, prefix="/dicomweb")
    app.include_router(retrieve.router, prefix="/dicomweb")
    pages.add(app)
    ohif.add(app, settings)
    protect(app, store, settings)
    app.add_middleware(CountRequests, metrics=shared.metrics)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    shared: Services = app.state.services
    kept = shared.sessions
    await asyncio.to_thread(kept.saved.remove_unreachable)  # such as those of nnInteractive's leases, which end with their server
    warm = threading.Timer(_WARM_SECONDS, kept.warm)
    warm.daemon = True
    warm.start()
    async with repeated(partial(asyncio.to_thread, _clean, shared), _CLEAN_SECONDS, _UNCLEAN):
        yield
    warm.cancel()
    await asyncio.to_thread(warm.join)  # a thread that loads a network while the interpreter ends aborts the process
    kept.close_all()
    shared.events.close()


def _clean(shared: Services) -> None:
    uploads.clean(shared.archive, shared.jobs)
    exports.remove_halves(shared.archive.folder)
    remove_left()


def _description(request: Request, person: Reader) -> JSONResponse:
    return JSONResponse(request.app.openapi())
