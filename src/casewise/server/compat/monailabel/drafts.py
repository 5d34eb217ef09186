"""Labels that are no accepted masks (a model's, a draft), by tag, and what clients note beside images and labels.

MONAI Label keeps several labels of an image under tags. ``final`` means the archive's own masks here; everything else is kept apart
from them, so that no model is trained on a draft.
"""

from __future__ import annotations

import logging
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from casewise.errors import CasewiseError, UsageError
from casewise.files import replacing
from casewise.json_safe import plain
from casewise.label_map import LabelMap
from casewise.server.store import Store
from casewise.server.store import client_notes as table

FINAL, ORIGINAL = "final", "original"
_log = logging.getLogger(__name__)
# What NumPy raises for a file that is gone, cut short or overwritten, and what masks do that are none.
_DAMAGED = (
    *(FileNotFoundError, EOFError, KeyError, ValueError, TypeError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error, CasewiseError),
)
_FOLDER = Path("server") / "drafts"
_TAG = re.compile(r"[A-Za-z0-9_-]{1,40}")


def checked_tag(tag: str) -> str:
    """The tag; ``final`` where none is given. Raises UsageError for one that is no plain word."""
    tag = tag or FINAL
    if _TAG.fullmatch(tag) is None:
        raise UsageError(f"A tag has up to 40 letters, digits, - and _; got {tag[:50]!r}.")
    return tag


def _read(path: Path) -> LabelMap:
    with np.load(path, allow_pickle=False) as file:
        labels: npt.NDArray[np.uint16] = file["labels"]
        return LabelMap.from_labels(labels, [str(name) for name in file["names"]], file["affine"])


class Drafts:
    """The drafts and notes of one archive's images."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def save(self, key: str, tag: str, masks: LabelMap, note: Mapping[str, Any]) -> None:
        """Keep masks on the image's own grid; those of the same tag are replaced."""
        path = self._store.folder / _FOLDER / tag / f"{key}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        names = np.asarray(list(masks.names), dtype=np.str_)
        with replacing(path) as beside, beside.open("wb") as file:
            np.savez_compressed(file, labels=masks.labels(), names=names, affine=masks.affine)
        self.note(key, tag, note, path=str(path.relative_to(self._store.folder)), anew=True)

    def load(self, key: str, tag: str) -> LabelMap | None:
        """The masks of a tag, on the image's own grid; None where there are none, and where their file is damaged or gone, which
        the log says.
        """
        row = self._row(key, tag)
        if row is None or row.path is None:
            return None
        try:
            return _read(self._store.folder / row.path)
        except _DAMAGED as error:
            why = "has gone" if isinstance(error, FileNotFoundError) else "is damaged"
            _log.warning("The file of the draft %r of %s %s; remove the draft, or have it made again.", tag, key, why)
            return None

    def remove(self, key: str, tag: str) -> None:
        row = self._row(key, tag)
        if row is None:
            return
        with self._store.write() as connection:
            connection.execute(sa.delete(table).where(table.c.image_key == key, table.c.tag == tag))
        if row.path is not None:
            (self._store.folder / row.path).unlink(missing_ok=True)

    def note(self, key: str, tag: str, note: Mapping[str, Any], path: str | None = None, anew: bool = False) -> None:
        """Add to what is noted beside an image (tag empty) or a label; anew : in place of what was noted before."""
        with self._store.write() as connection:
            where = (table.c.image_key == key, table.c.tag == tag)
            row = connection.execute(sa.select(table).where(*where)).one_or_none()
            data = plain({**({} if row is None or anew else row.data), **note})
            if row is None:
                connection.execute(sa.insert(table).values(image_key=key, tag=tag, data=data, path=path))
            else:
                connection.execute(sa.update(table).where(*where).values(data=data, path=path or row.path))

    def noted(self, key: str, tag: str) -> dict[str, Any]:
        row = self._row(key, tag)
        return {} if row is None else dict(row.data)

    def all(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Key → tag → what is noted beside that draft."""
        found: dict[str, dict[str, dict[str, Any]]] = {}
        with self._store.read() as connection:
            for row in connection.execute(sa.select(table).where(table.c.path.is_not(None))):
                found.setdefault(row.image_key, {})[row.tag] = dict(row.data)
        return found

    def counts(self) -> dict[str, int]:
        """Tag → how many images have a draft of it."""
        query = sa.select(table.c.tag, sa.func.count()).where(table.c.path.is_not(None)).group_by(table.c.tag)
        with self._store.read() as connection:
            return {str(tag): int(number) for tag, number in connection.execute(query)}

    def _row(self, key: str, tag: str) -> sa.Row[Any] | None:
        with self._store.read() as connection:
            return connection.execute(sa.select(table).where(table.c.image_key == key, table.c.tag == tag)).one_or_none()
