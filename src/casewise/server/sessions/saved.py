"""Sessions on disk: a row in the store, and in ``ARCHIVE/server/sessions/ID/`` what was done to each object.

A row and its files are written after each round and before its answer, so that a server that is killed goes on with the mask that
the person saw.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from casewise.archive.failures import disk_sentence
from casewise.errors import ArchiveError, UnreadableImageError, UsageError
from casewise.files import replacing
from casewise.header import Header
from casewise.image import Image
from casewise.server.sessions.drawing import Drawing
from casewise.server.sessions.session import Session
from casewise.server.store import Store
from casewise.server.store import sessions as table

FOLDER = Path("server") / "sessions"
_ID = re.compile(r"[0-9a-f]{32}")
_IMAGE = "image.npz"


class Saved:
    """The sessions of one store. ``folder`` : the archive's."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store, self._folder = store, folder

    def write(self, session: Session, number: int | None = None) -> None:
        """Write a session; ``number``: of the object that alone has changed. Raises UsageError, ArchiveError where it cannot be."""
        place = self._made(session)
        for at, drawing in enumerate(session.drawings):
            if number in (None, at):
                drawing.save(place / f"{at}.npz")
        values = {"data": _document(session), "seen": session.seen, "path": str(FOLDER / session.id)}
        with self._store.write() as connection:
            changed = connection.execute(sa.update(table).where(table.c.id == session.id).values(**values))
            if not changed.rowcount:
                own = {"id": session.id, "user": session.user, "image_key": session.case_key or "", "created": session.created}
                connection.execute(sa.insert(table).values(**own, **values))

    def write_image(self, session: Session) -> None:
        """Keep an image that the archive does not hold. Raises ArchiveError where it cannot be."""
        place = self._made(session)
        header = np.frombuffer(json.dumps(session.image.header.to_json()).encode(), np.uint8)
        try:
            with replacing(place / _IMAGE) as beside, beside.open("wb") as file:
                np.savez(file, array=session.image.array, affine=session.image.affine, header=header)
        except OSError as error:
            raise ArchiveError(disk_sentence(error)) from error

    def image(self, identity: str) -> Image:
        """The image that :meth:`write_image` kept. Raises UnreadableImageError where it is gone or damaged."""
        try:
            with np.load(self.place(identity) / _IMAGE, allow_pickle=False) as file:
                header = Header.from_json(json.loads(bytes(file["header"]).decode()))
                return Image(file["array"], file["affine"], header)
        except Exception as error:  # whatever zipfile, zlib, numpy and json raise for a damaged file
            msg = "The image of this session is gone or damaged, so the session cannot go on; send the image again."
            raise UnreadableImageError(msg) from error

    def row(self, identity: str) -> sa.Row[Any] | None:
        if not _ID.fullmatch(identity):
            return None
        with self._store.read() as connection:
            return connection.execute(sa.select(table).where(table.c.id == identity)).one_or_none()

    def of(self, user: str, key: str) -> list[sa.Row[Any]]:
        """A person's sessions on an image, the newest first."""
        query = sa.select(table).where(table.c.user == user, table.c.image_key == key).order_by(table.c.seen.desc())
        with self._store.read() as connection:
            return list(connection.execute(query))

    def others(self, user: str, key: str, structure: str, since: float) -> list[str]:
        """Who else has been heard of on this structure of an image since a time."""
        query = sa.select(table).where(table.c.user != user, table.c.image_key == key, table.c.seen >= since)
        with self._store.read() as connection:
            rows = list(connection.execute(query))
        return sorted({row.user for row in rows if any(one["structure"] == structure for one in row.data["objects"])})

    def sent(self) -> list[sa.Row[Any]]:
        """Sessions on images that clients sent, which the archive does not hold."""
        with self._store.read() as connection:
            return list(connection.execute(sa.select(table).where(table.c.image_key == "")))

    def remove_unreachable(self) -> None:
        """Remove what nobody can go on with once its server has ended: sessions on images that clients sent and call by no name,
        and files whose session was never written. For a server that begins.
        """
        for row in self.sent():
            if row.data.get("sent") is None:
                self.remove(row.id)
        with self._store.read() as connection:
            known = set(connection.scalars(sa.select(table.c.id)))
        folder = self._folder / FOLDER
        for place in folder.iterdir() if folder.is_dir() else ():
            if _ID.fullmatch(place.name) and place.name not in known:
                shutil.rmtree(place, ignore_errors=True)

    def seen(self, session: Session) -> None:
        with self._store.write() as connection:
            connection.execute(sa.update(table).where(table.c.id == session.id).values(seen=session.seen))

    def remove(self, identity: str) -> None:
        with self._store.write() as connection:
            connection.execute(sa.delete(table).where(table.c.id == identity))
        shutil.rmtree(self.place(identity), ignore_errors=True)

    def place(self, identity: str) -> Path:
        return self._folder / FOLDER / identity

    def _made(self, session: Session) -> Path:
        place = self.place(session.id)
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArchiveError(disk_sentence(error)) from error
        return place


def filled(session: Session, document: dict[str, Any], place: Path, model_of: Any) -> Session:
    """The session with the objects that a row's ``data`` describes; their rounds are done again. model_of : key → model."""
    for number, one in enumerate(document["objects"]):
        drawing = Drawing(
            structure=one["structure"],
            model=model_of(one["model"]),
            image=session.image,
            by_strokes=one["by_strokes"],
            strokes=one["strokes"],
            seconds=one["seconds"],
            counted=tuple(one["counted"]) if one.get("counted") else None,
            reason=one["reason"],
            similar=tuple(one["similar"]),
            initial=model_of(one["initial"]) if one.get("initial") else None,
        )
        path = place / f"{number}.npz"
        if one["begun"]:
            _resume(drawing, path)
        drawing.accepted, drawing.version = one["accepted"], one["version"]
        session.drawings.append(drawing)
    session.current = document["current"]
    return session


def _resume(drawing: Drawing, path: Path) -> None:
    """A file that is gone is as bad as a damaged one: the object would count as not begun. Raises UsageError."""
    try:
        drawing.resume(path)
    except UsageError as error:
        raise UsageError(str(error).replace(str(path), f"What was saved of {drawing.structure}")) from error


def _document(session: Session) -> dict[str, Any]:
    objects = [
        {
            "structure": drawing.structure,
            "model": drawing.model.key,
            "initial": None if drawing.initial is None else drawing.initial.key,
            "begun": drawing.outline is not None,
            "by_strokes": drawing.by_strokes,
            "strokes": drawing.strokes,
            "seconds": drawing.seconds,
            "counted": drawing.counted,
            "accepted": drawing.accepted,
            "reason": drawing.reason,
            "similar": list(drawing.similar),
            "version": drawing.version,
        }
        for drawing in session.drawings
    ]
    acted = session.acted or time.time()
    about = {"set": session.set_id, "model": session.model.key, "acted": acted, "sent": session.sent}
    return {"objects": objects, "current": session.current, **about}
