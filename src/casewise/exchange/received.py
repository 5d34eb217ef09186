"""Objects that came from other systems, one file each: ``FOLDER/<series UID>/<SOP instance UID>.dcm``.

The files are the truth. One gets its name when it is whole and on disk, and :meth:`Spool.write` returns when the name is on disk
too, so that what was acknowledged survives a power cut. Its file meta information says who sent it. What a killed process left is a
file ``.part-…``, removed by :meth:`Spool.tidy`.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from casewise.errors import UnreadableImageError
from casewise.exchange.identity import Identity, is_uid
from casewise.exchange.incoming import PREFIX, FullError, Incoming, identity_at, refusals
from casewise.exchange.part10 import ADDRESS, CALLED, CALLING, SOP_CLASS, SOP_UID, SYNTAX, FileMeta

__all__ = ["RECEIVED", "SUFFIX", "FullError", "Instance", "Spool", "instance_at"]

RECEIVED = Path("server") / "dicom" / "received"  # below an archive's folder: the spool of what came over the network
SUFFIX = ".dcm"
_CHUNK = 1 << 20
_OLD_SECONDS = 3600.0
_SCHEME = "dicom:"


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
        self._on_disk: set[tuple[str, int]] = set()  # series whose folders are known to be durable

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
        arriving : called with which object it is before anything is written; what it raises refuses the object.

        Raises UnreadableImageError for what is no DICOM file or lacks a UID, FullError where the disk takes no more, CasewiseError
        where it cannot be written for another reason. Nothing is left of the object then. No sentence quotes its values.
        """
        source = io.BytesIO(data) if isinstance(data, bytes) else data
        meta = FileMeta.read(source)
        found = identity_at(source, meta.text(SYNTAX))
        if arriving is not None:
            arriving(found)
        incoming = self.incoming(meta.having({SOP_CLASS: found.sop_class, SOP_UID: found.sop_uid}), calling, called, address)
        try:
            while chunk := source.read(_CHUNK):
                incoming.write(chunk)
            return self.keep(incoming)
        finally:
            incoming.drop()

    def incoming(self, meta: FileMeta, calling: str = "", called: str = "", address: str = "") -> Incoming:
        """An object that comes in parts: its file meta information is written, with the sender, and its data set follows."""
        place = f"{_SCHEME}{address}" if address else ""
        return Incoming(self.folder, meta.having({CALLING: calling, CALLED: called, ADDRESS: place}))

    def keep(self, incoming: Incoming, arriving: Callable[[Identity], None] | None = None) -> Instance:
        """An object of :meth:`incoming` is whole: keep it, as :meth:`write` does. Nothing is left of it where that raises."""
        try:
            found = incoming.identity()
            if arriving is not None:
                arriving(found)
            path = self.path(found.series_uid, found.sop_uid)
            with refusals(self.folder):
                incoming.keep(path)
                self._settle(path.parent)
            return _instance(found, path, incoming.meta)
        finally:
            incoming.drop()

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
        for part in self.folder.glob(f"{PREFIX}*"):
            with suppress(OSError):
                if time.time() - part.stat().st_mtime > _OLD_SECONDS:
                    part.unlink()

    def _settle(self, folder: Path) -> None:
        """The names of a series' files, and its own, are on disk, even where another thread wrote them just now."""
        _sync(folder)
        known = (folder.name, folder.stat().st_ino)  # another one may have taken its place
        if known not in self._on_disk:
            _sync(self.folder)
            if len(self._on_disk) > 10_000:
                self._on_disk.clear()
            self._on_disk.add(known)


def instance_at(path: Path) -> Instance:
    """What a file of the spool holds. Raises UnreadableImageError, OSError."""
    with path.open("rb") as file:
        meta = FileMeta.read(file)
        return _instance(identity_at(file, meta.text(SYNTAX)), path, meta)


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


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
