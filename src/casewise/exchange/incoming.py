"""An object on its way into a spool: written as it comes, to a file without a name of its own until it is whole and on disk."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from casewise.errors import CasewiseError, UnreadableImageError
from casewise.exchange.identity import BOUNDS, Identity, identity_of
from casewise.exchange.part10 import SYNTAX, FileMeta

PREFIX = ".part-"
_CHUNK = 1 << 20
_RESERVE = 64 << 20  # bytes that stay free, so that the archive's tables can still be written; of a small disk a fiftieth
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class FullError(CasewiseError):
    """The disk takes no more; the object was not kept."""


class Incoming:
    """A new file in ``folder``, which begins with ``meta``; the data set is appended by :meth:`write`.

    Nothing raises before :meth:`identity` and :meth:`keep`, so that a sender whose object does not fit can finish sending it: a
    refusal on the way is kept in mind, and what was written is removed at once.
    """

    def __init__(self, folder: Path, meta: FileMeta) -> None:
        self._folder, self.meta = folder, meta
        self._path = folder / f"{PREFIX}{secrets.token_hex(8)}"
        self._start = 0  # of the data set
        self._error: OSError | None = None
        self._file: BinaryIO | None = None
        try:
            self._file = self._path.open("x+b", buffering=0)
        except OSError as error:
            self._error = error
        head = meta.encoded()
        self.write(head)
        self._start = len(head)

    def write(self, data: bytes | memoryview) -> None:
        """Append to the data set."""
        if self._error is not None or self._file is None:
            return
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            self._error = error
            self.drop()

    def identity(self) -> Identity:
        """Which object it is. Raises UnreadableImageError, FullError, and CasewiseError where the disk does not take it."""
        with refusals(self._folder):
            file = self._whole()
            file.seek(self._start)
            return identity_at(file, self.meta.text(SYNTAX))

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The whole file, at its begin, to be read within the block. Raises FullError, and CasewiseError, as :meth:`identity`."""
        with refusals(self._folder):
            file = self._whole()
            file.seek(0)
        yield file

    def keep(self, path: Path) -> None:
        """Give it its name, once it is on disk. A file that is there with the same data set stays. Raises OSError."""
        file = self._whole()
        try:
            if not self._is_at(path):
                _check_room(self._folder)
                os.fsync(file.fileno())
                self._rename(path)
        finally:
            self.drop()

    def drop(self) -> None:
        """Remove what was not kept."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
        if self._file is not None:
            self._file.close()
            self._file = None

    def __del__(self) -> None:
        if self._file is not None:  # else there is nothing to do: Ctrl-C that comes in here would be lost
            self.drop()

    def _whole(self) -> BinaryIO:
        if self._error is not None:
            raise self._error
        if self._file is None:
            raise OSError(errno.EBADF, "the file is closed")
        return self._file

    def _is_at(self, path: Path) -> bool:
        """Whether there is a file with the same data set in the same transfer syntax."""
        own = self._whole()
        try:
            with path.open("rb") as other:
                if FileMeta.read(other).text(SYNTAX) != self.meta.text(SYNTAX):
                    return False
                own.seek(self._start)
                while chunk := own.read(_CHUNK):
                    if other.read(len(chunk)) != chunk:
                        return False
                return not other.read(1)
        except (FileNotFoundError, UnreadableImageError):
            return False

    def _rename(self, path: Path) -> None:
        while True:
            path.parent.mkdir(exist_ok=True)
            try:
                self._path.replace(path)
                return
            except FileNotFoundError:  # somebody removed the series' folder, which was empty
                if not self._path.exists():
                    raise


def _check_room(folder: Path) -> None:
    """Raises OSError where the disk has little room left."""
    disk = os.statvfs(folder)
    if disk.f_bavail * disk.f_frsize < min(_RESERVE, disk.f_blocks * disk.f_frsize // 50):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def identity_at(file: BinaryIO, syntax: str) -> Identity:
    """Of the data set at which ``file`` stands, and stands again. Raises UnreadableImageError."""
    place = file.tell()
    head = file.read(BOUNDS[0])
    try:
        return identity_of(head, syntax)
    except UnreadableImageError:
        if len(head) < BOUNDS[0]:
            raise
        return identity_of(head + file.read(BOUNDS[1] - BOUNDS[0]), syntax)
    finally:
        file.seek(place)


@contextmanager
def refusals(folder: Path) -> Iterator[None]:
    """What the disk of ``folder`` refuses, as one sentence: FullError, or CasewiseError."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise FullError(f"The disk of {folder} is full: the object was not kept; free space there.") from error
        msg = f"An object cannot be kept in {folder}: {error.strerror or type(error).__name__}; mend that, then send it again."
        raise CasewiseError(msg) from error
