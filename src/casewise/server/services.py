"""What the calls of one server share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from casewise.archive import Archive
from casewise.exchange.node import Node
from casewise.server.cases import Cases
from casewise.server.results import Results
from casewise.server.sets import Sets
from casewise.server.settings import Settings
from casewise.server.store import Store
from casewise.server.worklist import Worklist

if TYPE_CHECKING:
    from casewise.server.events import Events
    from casewise.server.images import ImageCache
    from casewise.server.jobs import Jobs
    from casewise.server.metrics import Metrics
    from casewise.server.pace import Pace
    from casewise.server.sessions import Sessions


@dataclass(eq=False)
class Services:
    """archive : open for the server's life; SQLAlchemy gives each thread a connection of its own.

    node : where the process on the DICOM network receives, and takes in what STOW-RS brings; None where there is no such process.
    """

    archive: Archive
    store: Store
    settings: Settings
    images: ImageCache
    jobs: Jobs
    events: Events
    metrics: Metrics
    sessions: Sessions
    pace: Pace
    node: Node | None = None

    @cached_property
    def cases(self) -> Cases:
        return Cases(self.archive, self.store, self.settings, Worklist(self.archive, self.store))

    @cached_property
    def results(self) -> Results:
        return Results(self.archive, self.store)

    @cached_property
    def sets(self) -> Sets:
        return Sets(self.store, self.cases, self.jobs)


def services(request: Request) -> Services:
    """A dependency: what the server's calls share."""
    found: Services = request.app.state.services
    return found


Shared = Annotated[Services, Depends(services)]
