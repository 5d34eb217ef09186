"""Copies of objects on this machine: ``<folder>/<server>/<bucket>/<key>``, of no more than a number of bytes together.

Any number of processes may use one. A copy is written beside and renamed, so it is whole or not there. One that was given out is
held open with a shared lock, and is not removed while any process holds it; each holds the last ones that it gave out. So are
folders whose copies are used together, however many they are. Of the others, those leave first that were unused for longest.
"""

from __future__ import annotations

import errno
import os
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from casewise.archive.remote.address import Address
from casewise.errors import ArchiveError
from casewise.files import forget_parts, locked

_KEPT_OPEN = 64  # files, and as many folders
_TRIM_AFTER = 1 / 16  # of the limit, that came since it was last looked whether there is too much
_LOCK = ".importing"
_PART = ".part-"
_TRIES = 5  # a copy may be removed between its coming and its being held
_DAY = 86400
_FULL = (errno.ENOSPC, errno.EDQUOT)


class CopiesError(ArchiveError):
    """No copy can be written on this machine now."""


@dataclass(eq=False)
class _Held:
    """The copies that this process has given out last, and folders of such, each open and locked."""

    files: OrderedDict[Path, int] = field(default_factory=OrderedDict)
    folders: OrderedDict[Path, int] = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    come: dict[Path, float] = field(default_factory=dict)  # bytes since the last trim, by cache


_held = _Held()


def _start_anew() -> None:
    """In a process that was forked: the parent's copies are the parent's to hold."""
    global _held
    for handle in (*_held.files.values(), *_held.folders.values()):
        with suppress(OSError):
            os.close(handle)
    _held = _Held()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)


class Cache:
    """folder : made where it is not there. limit : bytes; what is in use or being imported stays beyond it. server : whose objects
    they are, a name.
    """

    def __init__(self, folder: Path, limit: int, server: str) -> None:
        self._folder = folder
        self._limit = limit
        self.root = folder / server

    def place(self, address: Address) -> Path:
        """Where the copy of an object lies, or would. Raises ArchiveError for a key that is no file's name."""
        place = address.below(self.root)
        if place is None:
            msg = f"{str(address)[:200]!r} is no name that a file can have here; give the object another."
            raise ArchiveError(msg)
        return place

    def address(self, path: Path) -> Address | None:
        """Whose copy a file is; None for a file that is none."""
        return Address.of_copy(path, self.root)

    def get(self, address: Address, fill: Callable[[Path], object]) -> Path:
        """The copy of an object, made by ``fill`` where it is not there; held so that it can be opened."""
        place = self.place(address)
        for _ in range(_TRIES):
            if _hold(place, _held.files):
                break
            self.add(address, fill)
        else:
            msg = f"The copy of {address} at {place} cannot be opened; see that it may be read, and that the disk has space."
            raise CopiesError(msg)
        with suppress(OSError):
            os.utime(place, ns=(time.time_ns(), place.stat().st_mtime_ns))
        self._trim_sometimes()
        return place

    def add(self, address: Address, fill: Callable[[Path], object]) -> Path:
        """Make a copy of an object, in place of one that is there; nothing is removed for it."""
        place = self.place(address)
        with self._written():
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                size = self._filled(place, fill)
            except OSError as error:
                if error.errno not in _FULL:
                    raise
                self.trim(0)  # the disk has less space than the limit
                size = self._filled(place, fill)
        with _held.lock:
            _held.come[self._folder] = _held.come.get(self._folder, self._limit) + size
        return place

    def _filled(self, place: Path, fill: Callable[[Path], object]) -> int:
        part = self._folder / f"{_PART}{secrets.token_hex(8)}"  # apart from the copies, whose names are others'
        try:
            fill(part)
            size = part.stat().st_size
            part.replace(place)
        finally:
            part.unlink(missing_ok=True)
        return size

    def hold_folder(self, address: Address) -> None:
        """Have the copies of the objects in a folder stay together: they are read as one, and may be more than are held open."""
        place = self.place(address)
        with self._written():
            place.mkdir(parents=True, exist_ok=True)
        _hold(place, _held.folders)

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Nothing is removed, by whatever process, while the block runs."""
        handle = self._lock(shared=True)
        try:
            yield
        finally:
            if handle is not None:
                os.close(handle)
            self._trim_sometimes()

    def trim(self, limit: int | None = None) -> None:
        """Remove copies, the longest unused first, until the rest are within the limit; nothing while something is imported."""
        most = self._limit if limit is None else limit
        handle = self._lock(shared=False)
        if handle is None:
            return
        try:
            forget_parts(self._folder, _DAY)
            copies = sorted(_copies(self._folder))
            total = sum(size for _, size, _ in copies)
            for _, size, path in copies:
                if total <= most:
                    break
                total -= size if _removed(path) else 0
        finally:
            os.close(handle)

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            msg = (
                f"The copies of objects in {self._folder} cannot be written ({error.strerror or type(error).__name__}); free some "
                "space, or name another folder in CASEWISE_CACHE."
            )
            raise CopiesError(msg) from error

    def _trim_sometimes(self) -> None:
        with _held.lock:
            if _held.come.get(self._folder, 0) <= self._limit * _TRIM_AFTER:
                return
            _held.come[self._folder] = 0
        self.trim()

    def _lock(self, shared: bool) -> int | None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            return None
        return locked(self._folder / _LOCK, shared)


def let_go() -> None:
    """Hold no copy any more."""
    with _held.lock:
        for held in (_held.files, _held.folders):
            while held:
                os.close(held.popitem()[1])


def _hold(path: Path, held: OrderedDict[Path, int]) -> bool:
    """Hold a copy, or a folder of copies, so that nobody removes it; whether it is there."""
    with _held.lock:
        if path in held and _is_open(path, held[path]):
            held.move_to_end(path)
            return True
        handle = _locked(path, shared=True)
        if handle is None:
            return False
        if path in held:  # another copy of it by now
            os.close(held.pop(path))
        held[path] = handle
        while len(held) > _KEPT_OPEN:
            os.close(held.popitem(last=False)[1])
        return True


def _is_open(path: Path, handle: int) -> bool:
    """Whether a handle is that of what is there now."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


def _locked(path: Path, shared: bool) -> int | None:
    """The file, open and locked; None where it is not there, or another holds it."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        import fcntl

        # Who removes a copy holds it for that moment alone, which is worth waiting for.
        fcntl.flock(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_open(path, handle):
            return handle
    except ImportError:
        return handle
    except OSError:
        pass
    os.close(handle)
    return None


def _copies(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """(last used, bytes, path) of each copy in the folder of a cache."""
    for parent, _, names in os.walk(folder):
        for name in names if Path(parent) != folder else ():
            path = Path(parent) / name
            with suppress(OSError):
                about = path.stat()
                yield about.st_atime_ns, about.st_size, path


def _removed(path: Path) -> bool:
    handles: list[int] = []
    try:
        for held in (path.parent, path):
            handle = _locked(held, shared=False)
            if handle is None:
                return False
            handles.append(handle)
        path.unlink()
    except OSError:
        return False
    finally:
        for handle in handles:
            os.close(handle)
    return True
