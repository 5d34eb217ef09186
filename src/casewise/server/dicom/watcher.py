"""Watched folders: their DICOM files are taken into the received objects, and left where they are.

Which files were taken is remembered by digests of path, size and time of change, a line each in a file of the archive, since a
file's name may be a patient's. A file that is taken twice is the same object and changes nothing, so a lost line does no harm.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from casewise.errors import UnreadableImageError
from casewise.exchange.received import Instance, Spool

TITLE = "WATCHED"  # in place of a calling AE title: rules and sites go by it
_SETTLED_SECONDS = 3.0  # a file that changed since is still being written
_LOOK_SECONDS = 2.0
_SHARE = 10.0  # a walk that took a second is followed by a pause of ten
_log = logging.getLogger("casewise.dicom")


class Watcher:
    """folders : watched with all below them; links are not followed. taken : the file that remembers. arrived : called with each
    object that came. settled : seconds for which a file must not have changed.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        spool: Spool,
        taken: Path,
        arrived: Callable[[Instance], None],
        *,
        settled: float = _SETTLED_SECONDS,
        look: float = _LOOK_SECONDS,
    ) -> None:
        self._folders, self._spool, self._path, self._arrived = folders, spool, taken, arrived
        self._settled, self._look = settled, look
        self._taken = _read(taken)
        self._tidy = True
        self._next = 0.0

    def tick(self) -> None:
        """Take what is new, if it is time to look. Raises CasewiseError where nothing can be kept; the rest is taken later."""
        if not self._folders or time.monotonic() < self._next:
            return
        began = time.monotonic()
        try:
            self._walk()
        finally:
            spent = time.monotonic() - began
            self._next = time.monotonic() + max(self._look, _SHARE * spent)

    def _walk(self) -> None:
        here: set[bytes] = set()
        for file in self._files():
            with suppress(OSError):  # it went away
                about = file.stat(follow_symlinks=False)
                if time.time() - about.st_mtime < self._settled:
                    continue
                mark = _mark(file.path, about)
                here.add(mark)
                if mark not in self._taken:
                    self._take(Path(file.path), mark)
        if self._tidy:
            self._forget(here)

    def _files(self) -> Iterator[os.DirEntry[str]]:
        waiting = [str(folder) for folder in reversed(self._folders)]
        while waiting:
            try:
                with os.scandir(waiting.pop()) as listing:
                    entries = [entry for entry in listing if not entry.name.startswith(".")]
            except OSError:
                continue
            waiting += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
            yield from (entry for entry in entries if entry.is_file(follow_symlinks=False))

    def _take(self, path: Path, mark: bytes) -> None:
        try:
            with path.open("rb") as file:
                instance = self._spool.write(file, TITLE)
        except UnreadableImageError:
            _log.info("A file of a watched folder is no DICOM file that can be kept; it is left there.")
        else:
            self._arrived(instance)
        self._taken.add(mark)
        with self._path.open("ab") as lines:
            lines.write(mark.hex().encode() + b"\n")

    def _forget(self, here: set[bytes]) -> None:
        """Once after a start: what is not there any more need not be remembered."""
        self._tidy = False
        if len(self._taken) > 2 * len(self._taken & here) + 1000:
            self._taken &= here
            beside = self._path.with_suffix(".part")
            beside.write_bytes(b"".join(mark.hex().encode() + b"\n" for mark in self._taken))
            beside.replace(self._path)


def _mark(path: str, about: os.stat_result) -> bytes:
    return hashlib.blake2b(os.fsencode(path) + f"\0{about.st_size}\0{about.st_mtime_ns}".encode(), digest_size=16).digest()


def _read(path: Path) -> set[bytes]:
    try:
        lines = path.read_bytes().split()
    except FileNotFoundError:
        return set()
    return {bytes.fromhex(line.decode()) for line in lines if len(line) == 32 and set(line) <= set(b"0123456789abcdef")}
