"""``/activelearning/``: the image that a client is given next, of those that nobody has labelled."""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa
from fastapi import APIRouter, HTTPException, Request
from fastapi.concurrency import run_in_threadpool

from casewise.archive.catalogue import images, labels
from casewise.server import strategies
from casewise.server.access import Annotator, Person
from casewise.server.compat.monailabel import offers
from casewise.server.compat.monailabel.datastore import file_name
from casewise.server.compat.monailabel.desk import Desk, OurDesk, Shared
from casewise.server.compat.monailabel.forms import json_object
from casewise.server.joined import joined
from casewise.server.label_names import structures
from casewise.server.prepared import is_there
from casewise.server.services import Services
from casewise.server.store import set_images
from casewise.server.vectors import ArchiveVectors

router = APIRouter(prefix="/activelearning")
_PREPARED = 2  # structures; each takes some seconds
_ENOUGH = 2  # accepted masks of a structure


@router.post("/{strategy}")
async def next_sample(strategy: str, request: Request, person: Annotator, shared: Shared, desk: OurDesk) -> dict[str, Any]:
    """The next image without a mask; empty where every image has one. Each call gives another image while there are any."""
    params = await json_object(request)
    if strategy not in offers.STRATEGIES:
        raise HTTPException(404, f"There is no strategy {strategy[:40]!r}; there are {', '.join(offers.STRATEGIES)}.")
    client = f"{person.name}/{str(params.get('client_id') or '')[:100]}"
    return await run_in_threadpool(_next, shared, desk, strategy, person, client)


def _next(shared: Services, desk: Desk, strategy: str, person: Person, client: str) -> dict[str, Any]:
    free = desk.given.free(_keys(shared, labelled=False), client)
    choice = strategies.choose(strategy, _waiting(shared, strategy, free), _vectors(shared, strategy))
    if choice is None:
        return {}
    if choice.without == "vectors":
        shared.jobs.add("embed", {}, unique_key="embed", priority=1)
    desk.given.give(choice.key, client)
    _prepare(shared, choice.key)
    copy = desk.copies.of(choice.key, shared.images.get(choice.key))
    # Never a path: Slicer would open the original, whose voxels it may count in another order than the copy's.
    identifier = desk.tickets.give(choice.key, person) if person.how == "token" else choice.key
    return {"id": identifier, "name": file_name(shared, choice.key), "checksum": copy.checksum, "reason": choice.reason}


def _prepare(shared: Services, key: str) -> None:
    """Have the first masks prepared while the person looks at the image: of the structures with the most accepted masks."""
    held = shared.archive.structures()
    known = sorted(structures(held), key=lambda name: -held[name])[:_PREPARED]
    for structure in known:
        if held[structure] >= _ENOUGH and not is_there(shared.archive.folder, key, structure):
            order = {"case": key, "structure": structure, "title": f"Prepare the next {structure}"}
            shared.jobs.add("prepare", order, unique_key=f"prepare:{structure}:{key}", priority=5)


def _keys(shared: Services, labelled: bool) -> list[str]:
    """Of the images that have a mask, or of those that have none."""
    masks = sa.exists().where(labels.c.image_id == images.c.id, labels.c.kind == "mask")
    engine = joined(shared.archive, shared.store)
    try:
        with engine.connect() as connection:
            return list(connection.scalars(sa.select(images.c.key).where(masks if labelled else ~masks).order_by(images.c.id)))
    finally:
        if engine is not shared.store.engine:
            engine.dispose()


def _waiting(shared: Services, strategy: str, keys: list[str]) -> strategies.Waiting:
    labelled = _keys(shared, labelled=True) if strategy == "unlike" else []
    known = _uncertainty(shared) if strategy == "uncertainty" else {}
    return strategies.Waiting(int(time.time()), keys, labelled, {key: known[key] for key in keys if key in known})


def _uncertainty(shared: Services) -> dict[str, float]:
    """Of the images of all sets, where it was measured."""
    found = set_images.c.uncertainty
    query = sa.select(set_images.c.image_key, sa.func.max(found)).where(found.is_not(None)).group_by(set_images.c.image_key)
    with shared.store.read() as connection:
        return {str(key): float(value) for key, value in connection.execute(query)}


class _None:
    """For strategies that compare no images."""

    def missing(self, keys: Any) -> int:
        return len(keys)

    def of(self, keys: Any) -> Any:
        return [], ()


def _vectors(shared: Services, strategy: str) -> strategies.Vectors:
    return ArchiveVectors(shared.archive) if strategy == "unlike" else _None()
