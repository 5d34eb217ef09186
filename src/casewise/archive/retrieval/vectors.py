"""Latent vectors on disk: one file of float32 rows for each encoder, which several processes may write.

A row number is handed out by the catalogue's transaction, so two writers never share one. Vectors are on disk
before the transaction that names their rows is committed: a writer that is killed leaves rows that nobody
refers to, and the next one given the same numbers writes over them. Committed rows are never written again.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from casewise.errors import ArchiveError
from casewise.files import replacing

Vectors = npt.NDArray[np.float32]

_FORMAT = 1
_ROW_TYPE = np.dtype("<f4")
_SAFE_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class VectorStore:
    """The vectors of one encoder.

    They lie in ``<encoder_key>.f32`` (little-endian float32, row after row, as given: not normalised); beside
    it, ``<encoder_key>.json`` says how long a row is.

    Made by :meth:`open`; nothing is written to the folder before the first :meth:`write`.
    """

    folder: Path
    encoder_key: str
    dimension: int

    @classmethod
    def open(cls, folder: Path, encoder_key: str, dimension: int) -> VectorStore:
        """The store of ``encoder_key`` in ``folder``, there already or not.

        Raises ArchiveError when the vectors there are of another dimension, or their description is missing
        or damaged.
        """
        if not _SAFE_KEY.fullmatch(encoder_key):
            msg = (
                "An encoder's key names a file: up to 128 letters, digits, dots, dashes and underscores, the "
                f"first a letter or digit; got {encoder_key!r}."
            )
            raise ArchiveError(msg)
        if dimension < 1:
            msg = f"A vector has at least one dimension; got {dimension}."
            raise ArchiveError(msg)
        store = cls(Path(folder), encoder_key, int(dimension))
        store._check_description()
        return store

    @property
    def path(self) -> Path:
        """The file of rows; it exists from the first write on."""
        return self.folder / f"{self.encoder_key}.f32"

    @property
    def count(self) -> int:
        """Number of whole rows in the file, those that no transaction committed included."""
        try:
            return self.path.stat().st_size // self._row_bytes
        except (FileNotFoundError, NotADirectoryError):
            return 0

    def write(self, first_row: int, vectors: npt.ArrayLike) -> None:
        """Put ``vectors`` (n, dimension) into the rows from ``first_row`` on, and on disk before returning.

        Rows between the file's end and ``first_row`` (another writer's, still to come) are zeros until
        written. Raises ArchiveError for a wrong shape, values that are not finite, or a folder that cannot be
        written.
        """
        rows = self._checked(vectors)
        if first_row < 0:
            msg = f"Rows of vectors are numbered from 0; got {first_row}."
            raise ArchiveError(msg)
        if not len(rows):
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._describe()
            # Neither truncated (others may be writing) nor in append mode (which ignores the position).
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
            with os.fdopen(handle, "r+b") as file:
                file.seek(first_row * self._row_bytes)
                file.write(rows.tobytes())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            reason = error.strerror or type(error).__name__
            msg = (
                f"The vectors cannot be written to {self.folder} ({reason}); free some space or give write permission, then repeat."
            )
            raise ArchiveError(msg) from error

    def rows(self, numbers: Sequence[int] | npt.NDArray[np.integer] | None = None) -> Vectors:
        """(n, dimension) float32: rows ``numbers`` in that order (a copy), or all (a read-only memory map).

        Raises ArchiveError when a row lies past the file's end: the file was cut off or is another archive's.
        """
        everything = self._map()
        if numbers is None:
            return everything
        wanted = np.asarray(numbers, dtype=np.int64).reshape(-1)
        if wanted.size and (wanted.min() < 0 or wanted.max() >= len(everything)):
            outside = int(wanted.min()) if wanted.min() < 0 else int(wanted.max())
            msg = (
                f"{self.path} holds {len(everything)} vectors but row {outside} was asked for: the file was "
                "cut off or is another archive's; restore it from a copy or import the images again."
            )
            raise ArchiveError(msg)
        return np.asarray(everything[wanted], dtype=np.float32)

    @property
    def _row_bytes(self) -> int:
        return self.dimension * _ROW_TYPE.itemsize

    @property
    def _description(self) -> Path:
        return self.folder / f"{self.encoder_key}.json"

    def _checked(self, vectors: npt.ArrayLike) -> Vectors:
        rows = np.asarray(vectors, dtype=_ROW_TYPE)
        if rows.ndim != 2 or rows.shape[1] != self.dimension:
            msg = (
                f"This store holds vectors of {self.dimension} numbers, given as (n, {self.dimension}); "
                f"got an array of shape {rows.shape}."
            )
            raise ArchiveError(msg)
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():
            msg = (
                f"Vector {int(np.argmin(finite))} of {len(rows)} holds values that are not finite (NaN or "
                "infinity, in float32); mend the encoder or leave out the image it came from."
            )
            raise ArchiveError(msg)
        return rows

    def _map(self) -> Vectors:
        # Whole rows only: a writer killed in the middle of the last one left it uncommitted.
        count = self.count
        if not count:
            return np.empty((0, self.dimension), np.float32)
        try:
            return np.memmap(self.path, _ROW_TYPE, "r", shape=(count, self.dimension))
        except (OSError, ValueError) as error:
            msg = f"The vectors in {self.path} cannot be read ({type(error).__name__}); check its permissions."
            raise ArchiveError(msg) from error

    def _check_description(self) -> None:
        # Counted before the description is looked for: another process may be writing both, in the other
        # order.
        count = self.count
        try:
            description = json.loads(self._description.read_text(encoding="utf-8"))
            written = int(description["dimension"])
            version = int(description["format"])
        except (FileNotFoundError, NotADirectoryError):
            if not count:
                return
            msg = f"{self._description} is missing beside its vectors; restore it, or remove {self.path.name} and import again."
            raise ArchiveError(msg) from None
        except (OSError, ValueError, TypeError, KeyError) as error:
            msg = (
                f"{self._description} does not describe a file of vectors ({type(error).__name__}); restore "
                f"it from a copy, or remove it and {self.path.name} and import again."
            )
            raise ArchiveError(msg) from error
        if version > _FORMAT:
            msg = f"{self._description} is of format {version}, this casewise reads up to {_FORMAT}; install a newer casewise."
            raise ArchiveError(msg)
        if written != self.dimension:
            msg = (
                f"The vectors of encoder {self.encoder_key[:12]} in this archive have {written} numbers, the "
                f"encoder given has {self.dimension}; use the encoder they were made with."
            )
            raise ArchiveError(msg)

    def _describe(self) -> None:
        """Write the description if there is none; it appears whole or not at all, before the first row."""
        self._check_description()
        if self._description.exists():
            return
        text = json.dumps({"format": _FORMAT, "type": "float32, little-endian, row after row", "dimension": self.dimension})
        with replacing(self._description, durable=True) as beside:
            beside.write_text(text, encoding="utf-8")
        _sync_folder(self.folder)


def _sync_folder(folder: Path) -> None:
    """Put a new file's name on disk too (POSIX; elsewhere the system does so by itself)."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
