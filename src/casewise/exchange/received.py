"""Objects that came from other systems, one file each: ``FOLDER/<series UID>/<SOP instance UID>.dcm``.

The files are the truth. One gets its name when it is whole and on disk, and :meth:`Spool.write` returns when the name is on disk
too, so that what was acknowledged survives a power cut. Its file meta information says who sent it. What a killed process left is a
file ``.part-…``, removed by :meth:`Spool.tidy`.
"""

from __future__ import annotations

import errno
import io
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from casewise.errors import CasewiseError, UnreadableImageError
from casewise.exchange.identity import BOUNDS, Identity, identity_of, is_uid
from casewise.exchange.part10 import ADDRESS, CALLED, CALLING, SOP_CLASS, SOP_UID, SYNTAX, FileMeta

SUFFIX = ".dcm"
_PART = ".part-"
_CHUNK = 1 << 20
_OLD_SECONDS = 3600.0
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SCHEME = "dicom:"


class FullError(CasewiseError):
    """The disk takes no more; the object was not kept."""


@dataclass(frozen=True)
class Instance:
    """A received object. calling, called : AE titles. address : the sender's. All three are empty where nothing says them."""

    sop_uid: str
    sop_class: str
    series_uid: str
    study_uid: str
    modality: str
    path: Path
    calling: str = ""
    called: str = ""
    address: str = ""


class Spool:
    """The received objects in ``folder``, which is made where it is missing. Several threads and processes may write."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._on_disk: set[str] = set()  # series whose folders are known to be durable

    def write(
        self,
        data: bytes | BinaryIO,
        calling: str = "",
        called: str = "",
        address: str = "",
        *,
        arriving: Callable[[Identity], None] | None = None,
    ) -> Instance:
        """Keep a whole DICOM file (PS3.10), given as bytes or as a file that can be sought, at its begin.

        It is on disk when this returns. One that is there with the same data set stays as it is, whoever sent it; one with another
        data set is replaced by a new file, so that hard links keep the former. Nothing is decoded.
        arriving : is told which object it is before anything is written; what it raises refuses the object.

        Raises UnreadableImageError for what is no DICOM file or lacks a UID, FullError where the disk takes no more, CasewiseError
        where it cannot be written for another reason. Nothing is left of the object then. No sentence quotes its values.
        """
        source = io.BytesIO(data) if isinstance(data, bytes) else data
        meta = FileMeta.read(source)
        found = _identity(source, meta.text(SYNTAX))
        if arriving is not None:
            arriving(found)
        meta = meta.having({SOP_CLASS: found.sop_class, SOP_UID: found.sop_uid, CALLING: calling, CALLED: called})
        meta = meta.having({ADDRESS: f"{_SCHEME}{address}" if address else ""})
        path = self.path(found.series_uid, found.sop_uid)
        with _refusals(self.folder):
            place = source.tell()
            if not _same(path, meta.text(SYNTAX), source):
                source.seek(place)
                self._keep(path, meta, source)
            self._settle(path.parent)
        return _instance(found, path, meta)

    def path(self, series_uid: str, sop_uid: str) -> Path:
        """Where an object lies or would lie. Raises UnreadableImageError for what are no UIDs."""
        if not (is_uid(series_uid) and is_uid(sop_uid)):
            raise UnreadableImageError("An object's UIDs have 1 to 64 digits and dots; these have not.")
        return self.folder / series_uid / f"{sop_uid}{SUFFIX}"

    def series(self) -> list[str]:
        """UIDs of the series of which there are objects, in order."""
        return sorted(folder.name for folder in self.folder.iterdir() if is_uid(folder.name))

    def files(self, series_uid: str) -> list[Path]:
        """The objects of a series, by SOP instance UID."""
        folder = self.folder / series_uid
        if not is_uid(series_uid) or not folder.is_dir():
            return []
        return [path for path in sorted(folder.iterdir()) if path.suffix == SUFFIX and is_uid(path.stem)]

    def instances(self, series_uid: str) -> Iterator[Instance]:
        """The same, read from the files. A file that was damaged since is passed over."""
        for path in self.files(series_uid):
            with suppress(UnreadableImageError, OSError):
                yield instance_at(path)

    def tidy(self) -> None:
        """Remove what processes that were killed left behind, an hour after."""
        for part in self.folder.glob(f"*/{_PART}*"):
            with suppress(OSError):
                if time.time() - part.stat().st_mtime > _OLD_SECONDS:
                    part.unlink()

    def _keep(self, path: Path, meta: FileMeta, source: BinaryIO) -> None:
        part = path.with_name(f"{_PART}{secrets.token_hex(8)}")
        try:
            with self._opened(part) as file:
                _write(file, meta.encoded())
                while chunk := source.read(_CHUNK):
                    _write(file, chunk)
                os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            with suppress(OSError):
                part.unlink(missing_ok=True)
                self._on_disk.discard(path.parent.name)
                path.parent.rmdir()  # only where it is empty
            raise

    def _opened(self, part: Path) -> io.FileIO:
        """A new file, in a folder that another thread may just have removed because it was empty."""
        while True:
            try:
                part.parent.mkdir()
                self._on_disk.discard(part.parent.name)
            except FileExistsError:
                pass
            try:
                return part.open("xb", buffering=0)
            except FileNotFoundError:
                if not self.folder.is_dir():
                    raise

    def _settle(self, folder: Path) -> None:
        """The names of a series' files, and its own, are on disk, even where another thread wrote them just now."""
        _sync(folder)
        if folder.name not in self._on_disk:
            _sync(self.folder)
            if len(self._on_disk) > 10_000:
                self._on_disk.clear()
            self._on_disk.add(folder.name)


def instance_at(path: Path) -> Instance:
    """What a file of the spool holds. Raises UnreadableImageError, OSError."""
    with path.open("rb") as file:
        meta = FileMeta.read(file)
        return _instance(_identity(file, meta.text(SYNTAX)), path, meta)


def _instance(found: Identity, path: Path, meta: FileMeta) -> Instance:
    calling, called, address = (meta.text(tag) for tag in (CALLING, CALLED, ADDRESS))
    return Instance(
        found.sop_uid,
        found.sop_class,
        found.series_uid,
        found.study_uid,
        found.modality,
        path,
        calling,
        called,
        address.removeprefix(_SCHEME),
    )


def _identity(file: BinaryIO, syntax: str) -> Identity:
    """Of the data set at which ``file`` stands, and stands again."""
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


def _same(path: Path, syntax: str, source: BinaryIO) -> bool:
    """Whether the data set at which ``source`` stands is that of the file at ``path``."""
    try:
        with path.open("rb") as file:
            if FileMeta.read(file).text(SYNTAX) != syntax:
                return False
            while True:
                chunk = source.read(_CHUNK)
                if file.read(_CHUNK) != chunk:
                    return False
                if not chunk:
                    return True
    except (FileNotFoundError, UnreadableImageError):
        return False


def _write(file: io.RawIOBase | BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _refusals(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise FullError(f"The disk of {folder} is full: the object was not kept; free space there.") from error
        msg = f"An object cannot be kept in {folder}: {error.strerror or type(error).__name__}; mend that, then send it again."
        raise CasewiseError(msg) from error
