"""An index over many vectors: they are read at a fraction of their size, and the best looked at again in
full.

The vectors lie in cells around k-means centres (FAISS's inverted file, 8 bits a number), only the cells nearest
to the query are read, and ``recall`` says, measured on the archive's own vectors, which share of the ten most
similar is found. The number of cells read is the smallest that finds 99.5 %.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.archive.retrieval.search import Base, Centred, Mask, Passed, Rows, Vectors, top_k

CELLS_FROM = 500_000  # from here on cells are worth their inexactness; fewer vectors are searched directly
_WANTED_RECALL = 0.995
_RECALL_AT = 10
_SAMPLE = 256  # queries by which recall is measured
_STEP = 5_000  # vectors copied at a time


@dataclass(frozen=True, eq=False)
class Index:
    """What :func:`build` made of some rows of a base of vectors.

    faiss_index : over the rows at unit length, in the order of ``rows``. rows : (m,) row numbers, each once.
    recall : share of the 10 nearest that is found. cells : how many are read for a query.
    trained_on : how many vectors the cells were made from. centre : (d,) float64, what was taken off each vector
        first; a search takes it off the query and, by :class:`casewise.archive.retrieval.search.Centred`, off the base.
    """

    faiss_index: Any
    rows: Rows
    recall: float
    cells: int
    trained_on: int
    centre: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def dimension(self) -> int:
        return int(self.faiss_index.d)

    def serves(self, allowed: int, k: int) -> bool:
        """Whether the index is faster than the vectors themselves for this call."""
        return allowed > len(self) // 20 and k <= 4096

    def unknown(self, n: int, allowed: Mask | None) -> Rows:
        """The rows of a base of ``n`` that may be found and that are not in the index."""
        if self._contiguous and allowed is None:
            return np.arange(len(self), n)
        outside = np.ones(n, bool) if allowed is None else allowed.copy()
        outside[slice(0, len(self)) if self._contiguous else self.rows] = False
        return np.flatnonzero(outside)

    def candidates(self, units: npt.NDArray[np.float64], k: int, allowed: Mask | None) -> Iterator[Rows | None]:
        """For each query the indexed rows that hold its k best, with ``recall``; None where the cells hold fewer than k: read the
        vectors instead.
        """
        selector, share = self._selector(allowed)
        queries = units.astype(np.float32)
        # One query is one thread's work: handing a millisecond's cells round costs more than it saves, and
        # far more where other work keeps the cores busy.
        parameters = self._parameters(selector, share)
        _, places = self.faiss_index.search(queries, min(len(self), 2 * k + 16), params=parameters)
        for found in places:
            known = found[found >= 0]
            yield self.rows[known] if len(known) >= k else None  # the cells that were read hold too few

    def _selector(self, allowed: Mask | None) -> tuple[Any, float]:
        """FAISS's filter for the rows that may be found, and their share of the indexed ones."""
        if allowed is None:
            return None, 1.0
        mask = allowed[: len(self)] if self._contiguous else allowed[self.rows]
        share = float(mask.mean()) if len(mask) else 0.0
        return faiss_library().IDSelectorBitmap(np.packbits(mask, bitorder="little")), share

    def _parameters(self, selector: object, share: float) -> Any:
        # As many rows are looked at as without the filter: where it leaves out half of them, twice the cells
        # are read.
        cells = min(self.faiss_index.nlist, int(np.ceil(self.cells / max(share, 1e-3))))
        return faiss_library().SearchParametersIVF(sel=selector, nprobe=cells)

    @cached_property
    def _contiguous(self) -> bool:
        return bool(np.array_equal(self.rows, np.arange(len(self.rows))))


def build(base: Vectors, rows: Rows | None = None, *, seed: int = 0, centre: npt.NDArray[np.float64] | None = None) -> Index:
    """An index over the given rows (all of them if None) of ``base`` (n, d); neither is kept. centre : (d,), taken off each."""
    numbers = np.arange(len(base)) if rows is None else np.unique(np.asarray(rows, np.int64))
    centre = np.zeros(base.shape[1]) if centre is None else centre
    over = _over(base, centre)
    made = Index(_cells(over, numbers, seed), numbers, 0.0, 1, len(numbers), centre)
    _append(made, over, numbers)
    return _tuned(made, over, seed)


def extend(index: Index, base: Vectors, rows: Rows, seed: int = 0) -> Index:
    """The index with more rows of the same base, none of which it has; ``index`` itself is used up."""
    made = replace(index, rows=np.concatenate([index.rows, np.asarray(rows, np.int64)]))
    over = _over(base, index.centre)
    _append(made, over, np.asarray(rows, np.int64))
    return _tuned(made, over, seed)


def _over(base: Base, centre: npt.NDArray[np.float64]) -> Base:
    return Centred(Passed(base), centre) if centre.any() else Passed(base)


def _cells(base: Base, rows: Rows, seed: int) -> Any:
    """An inverted file with about 2·√n cells, trained on 32 vectors a cell."""
    faiss = faiss_library()
    count = 1 << max(2, round(np.log2(2 * np.sqrt(len(rows)))))
    dimension = base.shape[1]
    centres = faiss.IndexFlatIP(dimension)
    index = faiss.IndexIVFScalarQuantizer(
        centres, dimension, count, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT, False
    )
    index.cp.niter, index.cp.spherical, index.cp.seed = 8, True, seed + 1
    index.cp.min_points_per_centroid = 1
    sample = np.random.default_rng(seed).choice(len(rows), min(len(rows), 32 * count), replace=False)
    index.train(_unit_rows(base, rows[np.sort(sample)]))
    return index


def _append(index: Index, base: Base, rows: Rows) -> None:
    """Add rows to the FAISS index."""
    for first in range(0, len(rows), _STEP):
        index.faiss_index.add(_unit_rows(base, rows[first : first + _STEP]))


def _unit_rows(base: Base, rows: Rows) -> Vectors:
    units = np.empty((len(rows), base.shape[1]), np.float32)
    for first in range(0, len(rows), _STEP):
        vectors = np.asarray(base[rows[first : first + _STEP]], np.float64)
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        units[first : first + _STEP] = vectors / np.where(lengths == 0, 1, lengths)[:, None]
    return units


def _tuned(index: Index, base: Base, seed: int) -> Index:
    """Read as few cells as find the wanted share of the nearest, measured on vectors of the base itself."""
    sample = np.random.default_rng(seed + 1).choice(index.rows, min(len(index), _SAMPLE), replace=False)
    queries = np.asarray(base[sample])
    k = min(_RECALL_AT, len(index) - 1)
    allowed = None
    if len(index) < len(base):
        allowed = np.zeros(len(base), bool)
        allowed[index.rows] = True
    truth, _ = top_k(queries, base, k + 1, rows=allowed)
    cells = 4
    while True:
        tried = replace(index, cells=min(cells, int(index.faiss_index.nlist)))
        found, _ = top_k(queries, base, k + 1, rows=allowed, index=tried)
        recall = _recall(found, truth)
        if recall >= _WANTED_RECALL or cells >= index.faiss_index.nlist:
            return replace(tried, recall=recall)
        cells = cells * 3 // 2 if cells & (cells - 1) == 0 else cells * 4 // 3  # 4, 6, 8, 12, 16, …


def _recall(found: npt.NDArray[np.float32], truth: npt.NDArray[np.float32]) -> float:
    """Share of the true k nearest that was found, the query itself (first in both) left aside; equal scores
    count alike.
    """
    hits = [np.searchsorted(-scores, -best[-1], side="right") - 1 for scores, best in zip(found, truth, strict=True)]
    return float(np.mean(np.array(hits) / (truth.shape[1] - 1)))


def faiss_library() -> Any:
    """FAISS, loaded when it is first needed; untyped, for its stubs do not know its Python additions."""
    import faiss

    return faiss
