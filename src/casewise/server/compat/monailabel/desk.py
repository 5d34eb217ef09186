"""What the calls of the clients share beside the server's own services."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, FastAPI, Request

from casewise.server.compat.monailabel.copies import Copies
from casewise.server.compat.monailabel.drafts import Drafts
from casewise.server.compat.monailabel.given import Given
from casewise.server.compat.monailabel.rounds import Rounds
from casewise.server.compat.monailabel.tickets import Tickets
from casewise.server.compat.monailabel.uploads import Uploads
from casewise.server.services import Services, Shared

_lock = threading.Lock()


@dataclass(frozen=True, eq=False)
class Desk:
    """copies : files of images that clients download. drafts : labels that are no accepted masks. given : images given out.

    rounds : clients' sessions. uploads : clients' own images. tickets : for downloads without a token.
    """

    copies: Copies
    drafts: Drafts
    given: Given
    rounds: Rounds
    uploads: Uploads
    tickets: Tickets


def desk_of(app: FastAPI) -> Desk:
    """The one desk of an application."""
    with _lock:
        found: Desk | None = getattr(app.state, "monailabel", None)
        if found is None:
            shared: Services = app.state.services
            uploads = Uploads(shared.archive.folder, shared.settings.upload_bytes)
            found = app.state.monailabel = Desk(
                Copies(), Drafts(shared.store), Given(), Rounds(shared.sessions), uploads, Tickets()
            )
        return found


def _desk(request: Request) -> Desk:
    return desk_of(request.app)


OurDesk = Annotated[Desk, Depends(_desk)]

__all__ = ["Desk", "OurDesk", "Shared", "desk_of"]
