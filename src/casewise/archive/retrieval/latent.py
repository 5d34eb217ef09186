"""How alike the archive's images are to one by an encoder's vectors: the cosine, the archive's mean vector taken off both.

Vectors of one network all point much the same way; what is left is how images differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from casewise.archive.retrieval.index import Index
from casewise.archive.retrieval.search import Base, Centred, Rows, cosines, damaged, mean, rounding, stretch, top_k, unit_queries
from casewise.errors import ArchiveError

Numbers = npt.NDArray[np.float64]

_STEP = 1 << 15  # vectors read at a time


class Space(Protocol):
    """The vectors of an archive's images, as a query meets them."""

    def nearest(self, query: Numbers, places: Rows, count: int) -> Rows:
        """Ascending places, of those given, that are worth to be compared: all of them, or at least the ``count`` most similar."""
        ...

    def rough(self, query: Numbers, rows: Rows) -> tuple[Numbers, Numbers]:
        """(m,) cosines of a query (d,) with some rows, and how far each can lie from the true one."""
        ...

    def cosines(self, query: Numbers, rows: Rows) -> Numbers:
        """(m,) cosines of a query (d,) with some rows."""
        ...


@dataclass(frozen=True, eq=False)
class Latent:
    """Vectors around their mean, prepared for a query's product with all of them.

    base : (n, d) float32. rows : (m,) those of its rows that are images' vectors. mean : (d,) of these.
    inverse : (n,) float32, 1 over the length of each vector from the mean on (0 for a row that is none or lies on the mean).
    slack : (n,) float32, how far a cosine by :meth:`rough` can lie from the true one.
    """

    base: Base
    rows: Rows
    mean: Numbers
    inverse: npt.NDArray[np.float32]
    slack: npt.NDArray[np.float32]

    @classmethod
    def of(cls, base: Base, rows: Rows, earlier: Latent | None = None) -> Latent:
        """Prepare the vectors in ``rows``. earlier : made of the first of these rows, whose sum is then not taken again."""
        known = (earlier.mean, len(earlier.rows)) if earlier is not None else (None, 0)
        centre = mean(base, rows, *known)
        centred = Centred(base, centre)
        inverse, slack = np.zeros(len(base), np.float32), np.zeros(len(base), np.float32)
        for first in range(0, len(rows), _STEP):
            some = rows[first : first + _STEP]
            lengths = np.linalg.norm(stretch(centred, some), axis=1).astype(np.float64)
            if not np.isfinite(lengths).all():
                raise ArchiveError(damaged(some[~np.isfinite(lengths)]))
            inverse[some] = np.divide(1.0, lengths, out=np.zeros(len(some)), where=lengths > 0)
            # The product is taken with whole vectors, of which only what lies beyond the mean counts.
            whole = np.linalg.norm(stretch(base, some), axis=1) + np.linalg.norm(centre)
            slack[some] = 2 * rounding(base.shape[1]) * np.maximum(1.0, whole * inverse[some])
        return cls(base, rows, centre, inverse, slack)

    def nearest(self, query: Numbers, places: Rows, count: int) -> Rows:
        return places

    def rough(self, query: Numbers, rows: Rows) -> tuple[Numbers, Numbers]:
        unit = unit_queries(query - self.mean, len(self.mean))[0]
        vector, shift = unit.astype(np.float32), np.float32(unit @ self.mean)
        if 4 * len(rows) > len(self.base):
            values = ((self.base[:] @ vector - shift) * self.inverse)[rows]
        else:
            values = (self.base[rows] @ vector - shift) * self.inverse[rows]
        return np.asarray(values, np.float64), np.asarray(self.slack[rows], np.float64)

    def cosines(self, query: Numbers, rows: Rows) -> Numbers:
        return cosines(unit_queries(query - self.mean, len(self.mean))[0], Centred(self.base, self.mean), rows)


@dataclass(frozen=True, eq=False)
class Celled:
    """So many vectors that an index leads to the nearest; the mean is that of the vectors that its cells were made of.

    rows : (n,) row of each image's vector by its place, −1 where there is none. place_of : the image's place by row, or −1.
    encoded : how many images have a vector.
    """

    base: Base
    index: Index
    rows: Rows
    place_of: Rows
    encoded: int

    @classmethod
    def of(cls, base: Base, index: Index, rows: Rows) -> Celled:
        place_of = np.full(len(base), -1)
        encoded = np.flatnonzero(rows >= 0)
        place_of[rows[encoded]] = encoded
        return cls(base, index, rows, place_of, len(encoded))

    def nearest(self, query: Numbers, places: Rows, count: int) -> Rows:
        others = len(self.base) - self.encoded + len(self.rows) - len(places)
        allowed = None
        if others > count:  # else those that are not selected are left out of what was found
            rows = self.rows[places]
            allowed = np.zeros(len(self.base), bool)
            allowed[rows[rows >= 0]] = True
            others = 0
        centred = Centred(self.base, self.index.centre)
        _, found = top_k(query - self.index.centre, centred, count + others, rows=allowed, index=self.index)
        near = np.sort(self.place_of[found[0]])
        # One by one: sorting a million places takes longer than the search.
        return np.asarray(near[places[np.minimum(np.searchsorted(places, near), len(places) - 1)] == near])

    def rough(self, query: Numbers, rows: Rows) -> tuple[Numbers, Numbers]:
        return self.cosines(query, rows), np.zeros(len(rows))

    def cosines(self, query: Numbers, rows: Rows) -> Numbers:
        centre = self.index.centre
        return cosines(unit_queries(query - centre, len(centre))[0], Centred(self.base, centre), rows)
