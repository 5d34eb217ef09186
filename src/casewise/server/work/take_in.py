"""Take the files of a large upload into the archive."""

from __future__ import annotations

from casewise.server import uploads
from casewise.server.spool import Spool
from casewise.server.work.context import Work


def run(work: Work) -> dict[str, object]:
    """payload: ``upload``, ``category``, ``site``, and ``analyse``: whether the images are analysed next."""
    payload = work.payload
    spool = Spool.found(work.archive.folder, str(payload["upload"]))
    category, site = (None if payload.get(name) is None else str(payload[name]) for name in ("category", "site"))
    taken = uploads.take_in(work.archive, spool, category, site, work.progress)
    result = taken.to_json()
    if payload.get("analyse") and taken.keys:
        result["analyse"] = uploads.analysed(work.jobs, taken.keys, work.created_by)
    return result
