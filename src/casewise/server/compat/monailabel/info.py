"""``/info/``: what this server offers to MONAI Label's clients."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from fastapi import APIRouter, Request

import casewise
from casewise.archive import Archive
from casewise.server.access import Reader
from casewise.server.compat.monailabel import offers
from casewise.server.compat.monailabel.desk import Desk, OurDesk, Shared
from casewise.server.compat.monailabel.drafts import FINAL
from casewise.server.compat.monailabel.training import train_stats, trainers
from casewise.server.label_names import structures as names_of
from casewise.server.services import Services
from casewise.server.store import sets

router = APIRouter()
_ANY = "object"  # what is outlined where neither a mask nor a set names a structure yet


@router.get("/info/")
def info(request: Request, person: Reader, shared: Shared, desk: OurDesk) -> dict[str, Any]:
    """Models, strategies, trainers, structures, and how far the labelling is."""
    # OHIF offers clicks beside a structure only where a label is called background; Slicer would make a segment of it.
    browser = "origin" in request.headers or "sec-fetch-mode" in request.headers
    known = structures(shared)
    return {
        "name": "casewise",
        "description": "Outlines what you mark, and learns from the cases of this archive. Research use only.",
        "version": casewise.__version__,
        "labels": [*known, *(["background"] if browser else [])],
        "models": {name: offer.to_json() for name, offer in offers.models(shared.archive).items()},
        "trainers": trainers(shared, names_of(shared.archive.structures())),
        "strategies": {name: {"description": text} for name, text in offers.STRATEGIES.items()},
        "scoring": {name: {"description": text} for name, text in offers.SCORING.items()},
        "train_stats": train_stats(shared),
        "datastore": statistics(shared.archive, desk),
    }


def structures(shared: Services) -> list[str]:
    """Names of what is outlined in this archive: those of its masks and of its sets."""
    with shared.store.read() as connection:
        wanted = set(connection.scalars(sa.select(sets.c.structure)))
    held = set(names_of(shared.archive.structures()))
    return sorted(wanted | held) or [_ANY]


def statistics(archive: Archive, desk: Desk) -> dict[str, Any]:
    """How many images there are, how many have a mask, and how many a label of each tag."""
    total, masked = len(archive), archive.masked()
    tags = {**desk.drafts.counts(), **({FINAL: masked} if masked else {})}
    return {"total": total, "completed": masked, "label_tags": tags}
