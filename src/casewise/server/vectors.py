"""The archive's vectors of the encoder that comes with casewise, for those who compare images of the archive with one another."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from casewise.archive import Archive

if TYPE_CHECKING:
    from casewise.chest.upright import UprightEncoder


def encoder(device: str = "auto") -> UprightEncoder:
    """The one by which similar cases are found where no model is named; it loads its network when it first encodes."""
    from casewise.chest.upright import UprightEncoder
    from casewise.models.shipped.waiting import WaitingEncoder

    return UprightEncoder(WaitingEncoder(device), device)


class CurrentVectors:
    """The archive's vectors as they stand now; they are found anew only when there are more of them. For use from any thread."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._known: tuple[int, ArchiveVectors] | None = None

    def get(self) -> ArchiveVectors:
        count = self._archive.vector_count(encoder())
        known = self._known
        if known is None or known[0] != count:
            known = self._known = count, ArchiveVectors(self._archive)
        return known[1]


class ArchiveVectors:
    """Implements :class:`casewise.server.strategies.Vectors`, as the catalogue stands when it is made."""

    def __init__(self, archive: Archive) -> None:
        keys, rows, base = archive.vectors(encoder())
        self._rows, self._base = dict(zip(keys, rows.tolist(), strict=True)), base
        self._mean = base[rows].mean(axis=0, dtype=np.float64) if len(keys) else np.zeros(1)

    def missing(self, keys: Collection[str]) -> int:
        return sum(key not in self._rows for key in keys)

    def of(self, keys: Sequence[str]) -> tuple[list[str], npt.NDArray[np.float32]]:
        found = [key for key in keys if key in self._rows]
        if not found:
            return [], np.zeros((0, len(self._mean)), np.float32)
        return found, np.asarray(self._base[[self._rows[key] for key in found]] - self._mean, np.float32)
