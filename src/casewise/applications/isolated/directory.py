"""A folder by its handle: what lies in it is reached without following a link, wherever its path may lead by now."""

from __future__ import annotations

import os
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from casewise.applications.outcome import ApplicationError
from casewise.files import wrote

DEEPEST, MOST_FILES, MOST_BYTES = 32, 10_000, 16 << 30
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PIECE = 1 << 20
_CLEARING = 20.0  # seconds


class Directory:
    """A folder that stays open. path : where it was made; to be given to others, never to be opened again here."""

    def __init__(self, handle: int, path: Path) -> None:
        self.handle, self.path = handle, path

    @classmethod
    def open(cls, path: Path) -> Directory:
        """Raises OSError where it is not there, no folder, or a link."""
        return cls(os.open(path, _FOLDER), path)

    def make(self, name: str, mode: int = 0o700) -> Directory:
        """A new folder in this one. Raises OSError, also where there is something of that name."""
        os.mkdir(name, mode, dir_fd=self.handle)
        return self.inner(name)

    def inner(self, name: str) -> Directory:
        """A folder in this one. Raises OSError where there is none, or a link."""
        return Directory(os.open(name, _FOLDER, dir_fd=self.handle), self.path / name)

    def ensured(self, name: str) -> Directory:
        """A folder in this one, made where there is none. Raises OSError where there is something else of that name."""
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=self.handle)
        return self.inner(name)

    def holds(self, other: Directory, name: str) -> bool:
        """Whether ``name`` still is that folder, and not another or a link in its place."""
        with suppress(OSError):
            found, known = os.stat(name, dir_fd=self.handle, follow_symlinks=False), os.fstat(other.handle)
            return (found.st_dev, found.st_ino) == (known.st_dev, known.st_ino)
        return False

    def read(self, name: str, most: int) -> bytes:
        """A file's content. ApplicationError, a clause, for a link, for what is no file, and for more than ``most`` bytes."""
        try:
            handle = os.open(name, _FILE, dir_fd=self.handle)
        except OSError as error:
            raise ApplicationError(f"its {name} is not a file that can be read") from error
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            os.close(handle)
            raise ApplicationError(f"its {name} is not a file")
        with os.fdopen(handle, "rb") as file:
            content = file.read(most + 1)
        if len(content) > most:
            raise ApplicationError(f"its {name} has {max(about.st_size, len(content)):,} bytes; allowed are {most:,}")
        return content

    def write(self, name: str, content: bytes) -> None:
        """A file, written beside and renamed; whatever was there under that name is replaced, and never followed."""
        beside = f".{uuid.uuid4().hex}.part"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(beside, flags, 0o600, dir_fd=self.handle), "wb") as file:
            file.write(content)
        os.rename(beside, name, src_dir_fd=self.handle, dst_dir_fd=self.handle)

    def has(self, name: str) -> bool:
        """Whether there is anything of that name."""
        with suppress(OSError):
            os.stat(name, dir_fd=self.handle, follow_symlinks=False)
            return True
        return False

    def clear(self) -> None:
        """Remove what lies in it, however deep it is nested; what cannot be removed, or is made meanwhile, stays."""
        _clear(self.handle)

    def remove(self, name: str) -> None:
        """Remove ``name`` with all that lies in it."""
        with suppress(OSError):
            _remove(self.handle, name)

    def close(self) -> None:
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1

    def __enter__(self) -> Directory:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


@dataclass
class Listing:
    """What a program left in its folder.

    files : the place of each file below it, by the names of the folders and its own. others : how many links, pipes, sockets,
    devices, files that are at another place too (hard links), and names that are no text; none of them is taken.
    """

    files: list[tuple[str, ...]] = field(default_factory=list)
    others: int = 0
    size: int = 0


def listed(folder: Directory) -> Listing:
    """Raises ApplicationError, a clause, for more files, bytes or levels than are allowed."""
    found, seen = Listing(), 0
    waiting: list[tuple[str, ...]] = [()]
    while waiting:
        place = waiting.pop()
        with _at(folder, place) as here, os.scandir(here.handle) as entries:
            for entry in entries:
                seen += 1
                if seen > MOST_FILES:
                    raise ApplicationError(f"wrote more than {MOST_FILES:,} files and folders")
                about = entry.stat(follow_symlinks=False)
                if not _is_text(entry.name):
                    found.others += 1
                elif stat.S_ISDIR(about.st_mode):
                    if len(place) + 1 > DEEPEST:
                        raise ApplicationError(f"wrote folders nested more than {DEEPEST} deep")
                    waiting.append((*place, entry.name))
                elif is_own_file(about):
                    found.files.append((*place, entry.name))
                    found.size += about.st_size
                else:
                    found.others += 1
    if found.size > MOST_BYTES:
        raise ApplicationError(f"wrote {found.size:,} bytes; allowed are {MOST_BYTES:,}")
    found.files.sort()
    return found


def copied(places: list[tuple[str, ...]], origin: Directory, target: Directory) -> list[Path]:
    """Copy files of ``origin`` to the same places below ``target``: written beside, then renamed. Gives where they are.

    Copies, since a program that still runs could go on writing into a file that was moved.
    """
    kept, left = [], MOST_BYTES
    for place in places:
        with _at(origin, place[:-1]) as here, _at(target, place[:-1], make=True) as there:
            left -= _copy(here, there, place[-1], left)
        kept.append(target.path.joinpath(*place))
    return kept


def is_own_file(about: os.stat_result) -> bool:
    """A plain file that lies nowhere else: a hard link may be another's file."""
    return stat.S_ISREG(about.st_mode) and about.st_nlink == 1


def _at(folder: Directory, place: tuple[str, ...], make: bool = False) -> Directory:
    here = Directory(os.dup(folder.handle), folder.path)
    for name in place:
        with here as outer:
            here = outer.ensured(name) if make else outer.inner(name)
    return here


def _copy(here: Directory, there: Directory, name: str, most: int) -> int:
    beside = f".{uuid.uuid4().hex}.part"  # the name itself may be as long as a name can be
    with os.fdopen(os.open(name, _FILE, dir_fd=here.handle), "rb") as reader:
        about = os.fstat(reader.fileno())
        if not is_own_file(about) or about.st_size > most:
            raise ApplicationError("changed its files after its answer")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(beside, flags, 0o644, dir_fd=there.handle), "wb") as writer:
                left = about.st_size
                while left > 0 and (piece := reader.read(min(_PIECE, left))):
                    writer.write(piece)
                    left -= len(piece)
            wrote(there.path / beside, there.path / name)  # before it has its name, as every file of a command
            os.rename(beside, name, src_dir_fd=there.handle, dst_dir_fd=there.handle)
        except BaseException:
            with suppress(OSError):
                os.unlink(beside, dir_fd=there.handle)
            raise
    return about.st_size


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _remove(parent: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=parent)
    except (IsADirectoryError, PermissionError):
        handle = _opened(parent, name)
        try:
            _clear(handle)
        finally:
            os.close(handle)
        os.rmdir(name, dir_fd=parent)


def _clear(handle: int) -> None:
    """Folders within folders are brought up to this one before they are removed, so that no depth is too deep."""
    until = time.monotonic() + _CLEARING
    while time.monotonic() < until:
        names = list(_names(handle))
        done = 0
        for name in names:
            with suppress(OSError):
                try:
                    os.unlink(name, dir_fd=handle)
                except (IsADirectoryError, PermissionError):
                    _flatten(handle, name)
                done += 1
        if not done:
            return


def _flatten(handle: int, name: str) -> None:
    inner = _opened(handle, name)
    try:
        for below in list(_names(inner)):
            try:
                os.unlink(below, dir_fd=inner)
            except (IsADirectoryError, PermissionError):
                os.rename(below, uuid.uuid4().hex, src_dir_fd=inner, dst_dir_fd=handle)
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=handle)


def _opened(parent: int, name: str) -> int:
    """A folder that is to be removed; one that its maker closed is opened up first."""
    try:
        handle = os.open(name, _FOLDER, dir_fd=parent)
        os.fchmod(handle, 0o700)
    except PermissionError:
        place = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=parent)
        try:
            os.chmod(f"/proc/self/fd/{place}", 0o700)  # noqa: PTH101
        finally:
            os.close(place)
        return os.open(name, _FOLDER, dir_fd=parent)
    return handle


def _names(handle: int) -> Iterator[str]:
    with os.scandir(handle) as entries:
        for entry in entries:
            yield entry.name
