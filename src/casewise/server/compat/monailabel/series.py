"""Which image of the archive a DICOM series is: OHIF names images by their SeriesInstanceUID."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import sqlalchemy as sa

from casewise.archive.catalogue import images
from casewise.archive.storage import located_files
from casewise.errors import CasewiseError
from casewise.server.joined import joined
from casewise.server.services import Services
from casewise.server.store import series

_UID = re.compile(r"[0-9.]{3,64}")
_AT_ONCE = 500
_lock = threading.Lock()


def keys_of_series(shared: Services, uid: str) -> list[str]:
    """Keys of the images of a series; empty for what is no UID. The headers of series that are new here are read first, once."""
    if _UID.fullmatch(uid) is None:
        return []
    known = _known(shared, uid)
    if not known:
        with _lock:
            _read_new(shared)
        known = _known(shared, uid)
    return known


def _known(shared: Services, uid: str) -> list[str]:
    with shared.store.read() as connection:
        return list(connection.scalars(sa.select(series.c.image_key).where(series.c.uid == uid).order_by(series.c.image_key)))


def _read_new(shared: Services) -> None:
    new = sa.select(images.c.key, images.c.path, images.c.files).where(images.c.kind == "DICOM")
    new = new.where(images.c.key.not_in(sa.select(series.c.image_key))).limit(_AT_ONCE)
    engine = joined(shared.archive, shared.store)
    try:
        while True:
            with engine.connect() as connection:
                rows = connection.execute(new).all()
            if not rows:
                return
            found = [{"image_key": row.key, "uid": _uid(shared.archive.folder, row.path, row.files)} for row in rows]
            with shared.store.write() as connection:
                connection.execute(sa.insert(series), found)
    finally:
        if engine is not shared.store.engine:
            engine.dispose()


def _uid(folder: Path, path: str, files: list[str]) -> str:
    """The series' UID; empty where its file has gone or cannot be read."""
    from casewise.formats.dicom.file import dataset_of

    try:
        place, listed = located_files(folder, path, files[:1])
        dataset = dataset_of(listed[0] if listed else place, pixels=False)
    except (CasewiseError, OSError):
        return ""
    return str(dataset.get("SeriesInstanceUID", ""))
