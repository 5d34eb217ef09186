"""The image that a client means: one of the archive, one of its own that it keeps here, or a file that comes with the call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa
from fastapi import HTTPException

from casewise.archive.nameless import display_name
from casewise.image import Image
from casewise.server.compat.monailabel.grid import ClientGrid
from casewise.server.compat.monailabel.series import keys_of_series
from casewise.server.compat.monailabel.tickets import without_ticket
from casewise.server.services import Services
from casewise.server.store import client_names


@dataclass(frozen=True, eq=False)
class Subject:
    """identity : the same for the same image. key : of the archive's image; None of a client's own. load : reads it.

    own_file : the client has the image from a file of its own, and counts voxels as that file does.
    """

    identity: str
    key: str | None
    load: Callable[[], Image]
    own_file: bool

    def grid(self, image: Image) -> ClientGrid:
        """On which the client counts voxels."""
        return ClientGrid.of(image, as_stored=self.own_file)


def subject_of(shared: Services, text: str) -> Subject:
    """The archive's image that a client names. Raises as :func:`found_key`."""
    key, own = _found(shared, text)
    return Subject(key, key, lambda: shared.images.get(key), own)


def found_key(shared: Services, text: str) -> str:
    """The key of the archive's image that a client names: by its key, its file's name, the name under which the client sent it, or
    the UID of its series.

    Raises HTTPException 404 where there is none, 409 where there are several.
    """
    return _found(shared, text)[0]


def name_of(shared: Services, key: str) -> str:
    """How the image is called on pages: no folder, and no DICOM file's name, which may be its patient's."""
    (record,) = shared.archive.named(key)
    return display_name(record.name, record.kind, key, shared.settings.show_names)


def own_name(shared: Services, name: str, key: str) -> None:
    """A client sent the image of ``key`` and calls it ``name``. Raises HTTPException 409 where another image is called so: one
    image's masks would come to lie on the other.
    """
    others = [record.key for record in shared.archive.named(name) if record.key != key]
    with shared.store.write() as connection:
        known = connection.scalar(sa.select(client_names.c.image_key).where(client_names.c.name == name))
        if others or known not in (None, key):
            msg = f"The archive has another image called {name[:80]!r}; give this one another name (in Slicer: rename the volume)."
            raise HTTPException(409, msg)
        if known is None:
            connection.execute(sa.insert(client_names).values(name=name, image_key=key))


def _found(shared: Services, text: str) -> tuple[str, bool]:
    """(key, whether it is the name of a client's own file)."""
    text = without_ticket(text).strip()
    if not text:
        raise HTTPException(400, "The call names no image; give the image's id.")
    with shared.store.read() as connection:
        sent = connection.scalar(sa.select(client_names.c.image_key).where(client_names.c.name == text))
    keys = {record.key for record in shared.archive.named(text)} | ({sent} if sent is not None else set())
    keys |= set() if keys else set(keys_of_series(shared, text))
    if not keys:
        raise HTTPException(404, f"The archive has no image {text[:80]!r}; add it there, or ask for the next sample.")
    if len(keys) > 1:
        some = ", ".join(sorted(keys)[:3]) + (", …" if len(keys) > 3 else "")
        raise HTTPException(409, f"{len(keys)} images of the archive are called {text[:80]!r}; name one by its key: {some}.")
    return keys.pop(), sent is not None
