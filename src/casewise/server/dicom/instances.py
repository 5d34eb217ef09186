"""The DICOM instances of an archive by their UIDs: received ones, those of imported images, and the objects made of results.

Received instances enter the table as they come. Those of imported images are read by their headers, once, when they are first asked
for: the table remembers up to which image that was done. A result's objects (segmentations, reports, captures, maps) lie in the
result's folder; they are looked up there, so that a study always has those of the newest result.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa

from casewise.archive import Archive
from casewise.archive.catalogue import images
from casewise.archive.storage import AwayError, located, located_files, named
from casewise.errors import UnreadableImageError, UsageError
from casewise.formats import Kind
from casewise.server.dicom.objects import objects_of, uids_of
from casewise.server.joined import joined
from casewise.server.network_tables import instances
from casewise.server.problems import NotThereError
from casewise.server.store import Store, meta

_SEEN = "instances_seen"  # the row of ``meta`` with the catalogue's number of the newest image whose files are in the table
_AT_ONCE = 100
_RECEIVED = "server/dicom/received/"
_OF_ONE_PERSON = 200


@dataclass(frozen=True)
class Instance:
    """image_key : of the image whose file it is, or that it is a result of; None before it is taken in. made : whether it is an
    object made of a result.
    """

    sop_uid: str
    sop_class: str
    series_uid: str
    study_uid: str
    path: Path
    image_key: str | None
    made: bool = False


@dataclass(frozen=True)
class Study:
    """A study that has instances, and how many. modified : seconds since 1970 when the newest of them became known."""

    uid: str
    modified: float


class Instances:
    """The instances of one archive."""

    def __init__(self, archive: Archive, store: Store) -> None:
        self.archive, self.store = archive, store
        self._lock = threading.Lock()
        self._newest = -1  # of the images that are known to be in the table

    def update(self, seconds: float) -> bool:
        """Bring images that are new here into the table, for at most about ``seconds``; whether all are in it now."""
        newest = self.archive.newest()
        if newest == self._newest:
            return True
        until = time.monotonic() + seconds
        with self._lock:
            engine = joined(self.archive, self.store)
            try:
                while rows := self._new(engine):
                    self._take(rows, seen=rows[-1].id)
                    if time.monotonic() > until:
                        return False
            finally:
                if engine is not self.store.engine:
                    engine.dispose()
            self._newest = newest
        return True

    def of_image(self, key: str) -> Instance:
        """An instance of an image; its files and those of others of the same person are in the table afterwards.

        Raises NotThereError for a key that the archive does not have, UsageError for an image that is not of DICOM files or whose
        files name no study, and where they have gone.
        """
        rows = self._of_person(key)
        mine = next((row for row in rows if row.key == key), None)
        if mine is None:
            raise NotThereError(f"The archive has no case {key[:40]!r}; the worklist lists those that it has.")
        if mine.kind != Kind.DICOM.value:
            raise UsageError("OHIF displays DICOM images alone, and this one is none; the case's own page displays it.")
        with self._lock:
            self._take(rows)
        with self.store.read() as connection:
            row = connection.execute(sa.select(instances).where(instances.c.image_key == key).limit(1)).one_or_none()
        if row is not None:
            return self._instance(row)
        found = _headers_of(self.archive.folder, mine)  # its instances are another image's too
        if not found:
            raise UsageError("The image's files have gone, or name no study, so that OHIF cannot display it.")
        return self._instance(SimpleNamespace(**found[0]))

    def studies(self, offset: int, limit: int, keys: Sequence[str] | None = None) -> list[Study]:
        """Studies that have instances, newest first. keys : only those of these images."""
        table, modified = instances.c, sa.func.max(instances.c.received)
        query = sa.select(table.study_uid, modified).group_by(table.study_uid).order_by(modified.desc(), table.study_uid)
        if keys is not None:
            query = query.where(table.image_key.in_(list(keys)))
        with self.store.read() as connection:
            return [Study(uid, float(when)) for uid, when in connection.execute(query.offset(offset).limit(limit))]

    def find(self, study: str, series: str | None = None, sop: str | None = None) -> list[Instance]:
        """The instances of a study, of one of its series, or one alone; empty where there are none."""
        mine = [instances.c.study_uid == study]
        mine += [] if series is None else [instances.c.series_uid == series]
        mine += [] if sop is None else [instances.c.sop_uid == sop]
        order = (instances.c.series_uid, instances.c.sop_uid)
        with self.store.read() as connection:
            found = [self._instance(row) for row in connection.execute(sa.select(instances).where(*mine).order_by(*order))]
        if sop is not None and found:
            return found
        known = {one.sop_uid for one in found}
        made = [one for one in self._made(study) if one.sop_uid not in known]
        return found + [one for one in made if series in (None, one.series_uid) and sop in (None, one.sop_uid)]

    def subjects(self, keys: Iterable[str]) -> dict[str, str | None]:
        """The pseudonyms of whom images are of, by key."""
        return {record.key: record.subject for record in self._catalogue_rows(images.c.key.in_(list(keys)))}

    def keys_of_subject(self, subject: str) -> list[str]:
        """Keys of the images of a person, by the archive's pseudonym."""
        return [row.key for row in self._catalogue_rows(images.c.subject == subject)]

    def _made(self, study: str) -> list[Instance]:
        query = sa.select(instances.c.image_key).where(instances.c.study_uid == study, instances.c.image_key.is_not(None))
        with self.store.read() as connection:
            keys = sorted(set(connection.scalars(query)))
        found = [(key, made) for key in keys for made in objects_of(self.archive, key)]
        return [
            Instance(made.sop_uid, made.sop_class, made.series_uid, made.study_uid, made.path, key, made=True)
            for key, made in found
            if made.study_uid == study
        ]

    def _instance(self, row: Any) -> Instance:
        try:
            path = located(self.archive.folder, row.path)
        except UnreadableImageError:  # its object cannot be had now: a file that is not there
            path = named(self.archive.folder, row.path)
        return Instance(row.sop_uid, row.sop_class, row.series_uid, row.study_uid, path, row.image_key)

    def _new(self, engine: sa.Engine) -> Sequence[sa.Row[Any]]:
        """The next images of the catalogue that are not in the table, in its order."""
        with engine.connect() as connection:
            seen = int(connection.scalar(sa.select(meta.c.value).where(meta.c.name == _SEEN)) or 0)
            query = sa.select(images).where(images.c.id > seen, images.c.kind == Kind.DICOM.value)
            return connection.execute(query.order_by(images.c.id).limit(_AT_ONCE)).all()

    def _of_person(self, key: str) -> Sequence[sa.Row[Any]]:
        """The image's row, and those of the same person: what may be of its study."""
        mine = self._catalogue_rows(images.c.key == key)
        if not mine or mine[0].subject is None:
            return mine
        same = sa.and_(images.c.subject == mine[0].subject, images.c.kind == Kind.DICOM.value)
        others = [row for row in self._catalogue_rows(same) if row.key != key]
        return [*mine, *others[-_OF_ONE_PERSON:]]

    def _catalogue_rows(self, condition: Any) -> Sequence[sa.Row[Any]]:
        engine = joined(self.archive, self.store)
        try:
            with engine.connect() as connection:
                return connection.execute(sa.select(images).where(condition).order_by(images.c.id)).all()
        finally:
            if engine is not self.store.engine:
                engine.dispose()

    def _take(self, rows: Sequence[sa.Row[Any]], seen: int | None = None) -> None:
        """Put the instances of images into the table. Of two files of one instance the newer image's counts, but a received file
        stays the one that is read.
        """
        known = self._keys_in_table([row.key for row in rows])
        found = [one for row in rows if row.key not in known for one in _headers_of(self.archive.folder, row)]
        with self.store.write() as connection:
            for one in found:
                mine = instances.c.sop_uid == one["sop_uid"]
                there = connection.execute(sa.select(instances.c.path).where(mine)).scalar()
                if there is None:
                    connection.execute(sa.insert(instances).values(received=time.time(), **one))
                elif there.startswith(_RECEIVED):
                    connection.execute(sa.update(instances).where(mine).values(image_key=one["image_key"]))
                else:
                    connection.execute(sa.update(instances).where(mine).values(**one))
            if seen is not None:
                connection.execute(sa.delete(meta).where(meta.c.name == _SEEN))
                connection.execute(sa.insert(meta).values(name=_SEEN, value=str(seen)))

    def _keys_in_table(self, keys: Sequence[str]) -> set[str]:
        with self.store.read() as connection:
            query = sa.select(instances.c.image_key).where(instances.c.image_key.in_(list(keys))).distinct()
            return {str(key) for key in connection.scalars(query)}


def _headers_of(folder: Path, row: sa.Row[Any]) -> list[dict[str, str]]:
    """The rows of an image's files; those that have gone, or that name no instance, are left out."""
    try:
        place, files = located_files(folder, row.path, row.files)
    except AwayError:
        raise  # it is to be looked at again
    except UnreadableImageError:
        return []
    paths = [f"{row.path}/{name}" for name in row.files] if files else [row.path]
    found = []
    for file, path in zip(files or (place,), paths, strict=True):
        uids = uids_of(file)
        if uids is not None:
            found.append({**uids, "path": path, "image_key": row.key})
    return found
