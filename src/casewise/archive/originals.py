"""Whether the files that an archive reads where their owner keeps them still hold what was imported.

A file of the size and time of change that the catalogue has is taken for unchanged. Only one that differs is read again and
compared by its content: a copy has another time, and the same bytes. What was found so is remembered while the archive is open,
for reading an archive needs no right to write it; the next import writes the new time down.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from casewise.archive.catalogue import Catalogue, files
from casewise.archive.contents import content_key, mask_key, whole_file, with_voxels
from casewise.archive.storage import is_own, origin
from casewise.archive.unchanged import is_unchanged
from casewise.errors import UnreadableImageError
from casewise.formats import Found
from casewise.hashing import file_key

_AT_ONCE = 500  # paths that a query names
_Look = tuple[str, int, int]  # a file's path, size and time of change


class Originals:
    """Those of one archive. ``folder``: the archive's."""

    def __init__(self, folder: Path, catalogue: Catalogue) -> None:
        self._folder = folder
        self._catalogue = catalogue
        self._unchanged: dict[tuple[str, str], int] = {}

    def check_image(self, found: Found, row: sa.Row[Any]) -> None:
        """Raise UnreadableImageError, one sentence, where an image's files have gone or hold something else than was imported."""
        if row.copied:
            self._looks(found.files)
            return
        whole = with_voxels(found)
        self._check(row.key, found.files, whole.files, lambda rows: _is_image(rows, row.key), lambda: row.key in _keys(whole))

    def check_mask(self, path: Path, label: sa.Row[Any]) -> None:
        """As :meth:`check_image`, for the file of a mask."""
        key = label.origin.get("key")
        if is_own(label.path) or key is None:
            self._looks([path])
            return
        self._check(str(key), [path], whole_file(path), lambda rows: True, lambda: key in (mask_key(path), file_key(path)))

    def _check(
        self,
        key: str,
        own: Sequence[Path],
        paths: Sequence[Path],
        is_known: Callable[[Mapping[str, sa.Row[Any]]], bool],
        is_same: Callable[[], bool],
    ) -> None:
        looks = self._looks(paths)
        mark, name = hash(looks), (key, looks[0][0])
        if self._unchanged.get(name) == mark:
            return
        rows = self._rows([path for path, _, _ in looks])
        differing = [path for path, look in zip(paths, looks, strict=True) if not _is_as_imported(look, rows)]
        if differing or not is_known(rows):
            # Voxels are called by their header, which is what the catalogue knows.
            changed = origin(self._folder, next((path for path in differing if path in own), own[0]))
            try:
                same = is_same()
            except OSError as error:
                raise UnreadableImageError(f"{changed} cannot be read: {error.strerror or type(error).__name__}.") from error
            if not same:
                raise UnreadableImageError(f"{changed} was changed after it was imported; import it again.")
        self._unchanged[name] = mark

    def _looks(self, paths: Sequence[Path]) -> tuple[_Look, ...]:
        return tuple(self._look(path) for path in paths)

    def _look(self, path: Path) -> _Look:
        try:
            about = path.stat()
        except OSError as error:
            called = origin(self._folder, path)
            msg = f"{called} was moved or deleted after it was imported; put it back, or import it from its new place."
            raise UnreadableImageError(msg) from error
        return os.path.abspath(path), about.st_size, about.st_mtime_ns  # noqa: PTH100 - as an import names files

    def _rows(self, paths: Sequence[str]) -> dict[str, sa.Row[Any]]:
        rows: dict[str, sa.Row[Any]] = {}
        with self._catalogue.read() as connection:
            for first in range(0, len(paths), _AT_ONCE):
                query = sa.select(files).where(files.c.path.in_(paths[first : first + _AT_ONCE]))
                rows |= {row.path: row for row in connection.execute(query)}
        return rows


def _is_as_imported(look: _Look, rows: Mapping[str, sa.Row[Any]]) -> bool:
    path, size, mtime_ns = look
    return is_unchanged(rows.get(path), size, mtime_ns)


def _is_image(rows: Mapping[str, sa.Row[Any]], key: str) -> bool:
    """Whether the last import of these files found this image in them: it may have found another since the case was made."""
    return any(row.state == "image" and key in row.images for row in rows.values())


def _keys(found: Found) -> tuple[str, str]:
    """The keys that an image of these files may have: how many images were in its file is not in the catalogue."""
    return content_key(found, False), content_key(found, True)
