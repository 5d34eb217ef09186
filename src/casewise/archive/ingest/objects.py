"""Objects of storage as files of an import: listed as a tree of folders, and brought here when one of their folders is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from casewise.archive.ingest.layouts.tree import TABLES, File, Folder
from casewise.archive.remote import objects
from casewise.archive.remote.address import Address
from casewise.archive.remote.cache import Cache
from casewise.archive.remote.objects import Stored
from casewise.archive.remote.sentences import ObjectError
from casewise.archive.suffixes import suffix

_AT_ONCE = 8
_NO_NAME = "The object's name is none that a file can have here; give it another name and import it again."
_IS_FOLDER = "Other objects lie below its name as if it were a folder; give it another name and import it again."


class Objects:
    """Those of one import.

    cache : where their copies come. refuse : called with a name and a reason for each object that cannot be imported.
    """

    def __init__(self, cache: Cache, refuse: Callable[[str, str], None]) -> None:
        self._cache = cache
        self._refuse = refuse
        self._listed: dict[Path, Stored] = {}
        self._failed: set[Path] = set()

    def tree(self, place: Address) -> Folder | None:
        """What lies at an address, a folder or one object, as it would lie here; None where nothing does.

        Raises RemoteError, ObjectError where it cannot be listed.
        """
        found = {path: item for item in objects.listed(place) if (path := self._path(item.address)) is not None}
        for parent in {parent for path in found for parent in path.parents} & found.keys():
            self._refuse(str(found.pop(parent).address), _IS_FOLDER)
        if not found:
            return None
        self._listed |= found
        root = self._cache.root.joinpath(place.bucket, *(part for part in place.key.split("/") if part))
        if root in found:
            return Folder(root.parent, {root.name: _file(found[root])}, partial=True)
        return _tree(root, found)

    def bring(self, paths: Iterable[Path]) -> frozenset[Path]:
        """Have the copies of these files, where they are objects, as the objects were listed; returns those that failed.

        Raises RemoteError where the storage cannot be reached.
        """
        asked = [path for path in paths if path in self._listed]
        missing = [path for path in asked if path not in self._failed and not _is_current(path, self._listed[path])]
        if missing:
            pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="objects")
            try:
                for path, reason in zip(missing, pool.map(self._bring, missing), strict=True):
                    if reason is not None:
                        self._failed.add(path)
                        self._refuse(str(self._listed[path].address), reason)
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
        return frozenset(path for path in asked if path in self._failed)

    def bring_what_names(self) -> None:
        """Those that say something of others: tables and descriptions."""
        self.bring([path for path in self._listed if suffix(path.name) in TABLES | {".json"}])

    def _bring(self, path: Path) -> str | None:
        item = self._listed[path]
        try:
            self._cache.add(item.address, partial(objects.bring, item.address, expected=item))
        except ObjectError as error:
            return str(error)
        return None

    def _path(self, address: Address) -> Path | None:
        path = address.below(self._cache.root)
        if path is None:
            self._refuse(str(address), _NO_NAME)
        return path


def _is_current(path: Path, item: Stored) -> bool:
    try:
        about = path.stat()
    except OSError:
        return False
    return (about.st_size, about.st_mtime_ns) == (item.size, item.modified_ns)


def _file(item: Stored) -> File:
    return File(item.size, item.modified_ns)


def _tree(root: Path, found: Mapping[Path, Stored]) -> Folder:
    tree = Folder(root)
    folders = {root: tree}
    for path in sorted(found):
        for parent in reversed([path.parent, *path.parent.parents]):
            if parent not in folders and parent.is_relative_to(root):
                folders[parent] = folders[parent.parent].folders[parent.name] = Folder(parent)
        folders[path.parent].files[path.name] = _file(found[path])
    return tree
