"""Which image of the archive a DICOM series is: OHIF names images by their SeriesInstanceUID."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from pathlib import Path

import sqlalchemy as sa

from casewise.archive.catalogue import images
from casewise.archive.storage import located_files
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
    """Read the headers that were not read yet, and remember what they say. A file that cannot be read now (its drive is away, it is
    being copied) may be there at the next call, so nothing is remembered of it.
    """
    of_dicom = sa.select(images.c.key, images.c.path, images.c.files).where(images.c.kind == "DICOM")
    read = sa.select(series.c.image_key).where(series.c.uid != "")  # earlier versions remembered "" of what they could not read
    new = of_dicom.where(images.c.key.not_in(read)).order_by(images.c.key).limit(_AT_ONCE)
    engine, last = joined(shared.archive, shared.store), ""
    try:
        while True:
            with engine.connect() as connection:
                rows = connection.execute(new.where(images.c.key > last)).all()
            if not rows:
                return
            last = rows[-1].key
            _remember(shared, {row.key: _uid(shared.archive.folder, row.path, row.files) for row in rows})
    finally:
        if engine is not shared.store.engine:
            engine.dispose()


def _remember(shared: Services, uids: Mapping[str, str | None]) -> None:
    found = [{"image_key": key, "uid": uid} for key, uid in uids.items() if uid]
    if not found:
        return
    with shared.store.write() as connection:
        connection.execute(sa.delete(series).where(series.c.image_key.in_([row["image_key"] for row in found])))
        connection.execute(sa.insert(series), found)


def _uid(folder: Path, path: str, files: list[str]) -> str | None:
    """The series' UID; None where its file has gone or cannot be read."""
    from casewise.formats.dicom.file import dataset_of

    try:
        place, listed = located_files(folder, path, files[:1])
        dataset = dataset_of(listed[0] if listed else place, pixels=False)
        # A file that is cut off may end within the UID, without an error. Every image has rows, whose tag comes after it.
        return str(dataset.get("SeriesInstanceUID", "")) if "Rows" in dataset else None
    except Exception:  # whatever pydicom raises for a file that is damaged or only half there
        return None
