"""Which images of a call are done, in a file beside their results: a call that was killed goes on from there when it is made again.

A line of JSON for each image is written as soon as its outcome is there, and forced to disk with every fiftieth. The file is
removed when all are done, so that the same call made once more analyses them anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from casewise.errors import UsageError
from casewise.files import forget_parts
from casewise.json_safe import dumps
from casewise.pipeline.alone import alone

NAME = ".casewise-analysis.jsonl"
_BATCH = 50  # outcomes that a machine without power may lose
_OLD = 60.0  # seconds after which the half of a file is nobody's

Stamp = list[int] | None


class Journal:
    """The outcomes of the call ``call`` (what it was asked for, as JSON) in ``folder``; use :func:`journal`.

    kept : how many outcomes an earlier call of the same left behind.
    """

    def __init__(self, folder: Path, call: Mapping[str, object]) -> None:
        self.path = folder / NAME
        self._call = dumps({"casewise_analysis": call})
        self._known = self._read()
        self.kept = len(self._known)
        self._since = 0
        self._file: IO[str] | None = None

    def outcome(self, name: str, image: str, stamp: Stamp) -> dict[str, Any] | None:
        """Of an image that is done, and has not changed since; None where it is to be done. name : the stem of its files."""
        known = self._known.get(name)
        return None if known is None or [known["image"], known["stamp"]] != [image, stamp] else known["outcome"]

    def start(self) -> None:
        """Write what is kept once more, and go on behind it."""
        lines = [self._call, *(dumps(entry) for entry in self._known.values())]
        beside = self.path.with_suffix(".part")
        beside.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        beside.replace(self.path)
        self._file = self.path.open("a", encoding="utf-8")

    def record(self, name: str, image: str, stamp: Stamp, outcome: Mapping[str, object]) -> None:
        if self._file is None:
            return
        self._file.write(dumps({"name": name, "image": image, "stamp": stamp, "outcome": outcome}) + "\n")
        self._file.flush()  # what the system has is safe, whatever becomes of this process
        self._since += 1
        if self._since >= _BATCH:
            os.fsync(self._file.fileno())
            self._since = 0

    def close(self, done: bool) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        if done:
            self.path.unlink(missing_ok=True)

    def _read(self) -> dict[str, dict[str, Any]]:
        """By name, the entries of lines that are whole. Raises UsageError for a file that is no journal."""
        try:
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return {}
        if lines and '"casewise_analysis"' not in lines[0]:
            raise UsageError(f"{self.path} is not a record of an analysis by casewise; move it, or choose another --output.")
        if not lines or lines[0] != self._call:
            return {}  # of another call
        found: dict[str, dict[str, Any]] = {}
        for line in lines[1:]:
            with suppress(ValueError):  # the last line of a killed process may be cut off
                entry = json.loads(line)
                found[entry["name"]] = entry
        return found


@contextmanager
def journal(folder: Path, call: Mapping[str, object]) -> Iterator[Journal]:
    """The journal in ``folder``, which is this process's alone until the block ends; removed where the block does not raise.

    Raises UsageError where another call analyses into this folder.
    """
    busy = f"Another call is analysing images into {folder}; wait for it, or choose another --output."
    done = False
    with alone(folder, busy):
        record = Journal(folder, call)
        forget_parts(folder, _OLD)
        try:
            yield record
            done = True
        finally:
            record.close(done)


def stamp_of(path: Path) -> Stamp:
    """What changes when a file, or a file of a folder, does: how many, their bytes, the newest time; None where none is there."""
    files = [path] if not path.is_dir() else (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
    count = total = newest = 0
    for file in files:
        with suppress(OSError):
            found = file.stat()
            count, total, newest = count + 1, total + found.st_size, max(newest, found.st_mtime_ns)
    return [count, total, newest] if count else None
