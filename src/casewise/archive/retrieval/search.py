"""The k vectors most like a query by cosine, in a base that is searched row by row or through an index."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from casewise.errors import ArchiveError

Vectors = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_BLOCK = 1 << 23  # numbers of a temporary array: 32 MiB of float32
_STEP = 1 << 15  # rows read at a time
_SPARSE = 0.25  # below this share of a stretch of rows they are gathered, above it the stretch is read in order


class Base(Protocol):
    """Vectors (n, d) in memory or mapped, as the search reads them: some rows at a time."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> Any:
        """(m, d) float32."""
        ...


@dataclass(frozen=True, eq=False)
class Centred:
    """Vectors with ``centre`` (d,) float64 taken off each, when they are read."""

    base: Base
    centre: npt.NDArray[np.float64]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.base.shape

    def __len__(self) -> int:
        return len(self.base)

    def __getitem__(self, rows: Any, /) -> Vectors:
        return np.asarray(np.subtract(self.base[rows], self.centre, dtype=np.float64), np.float32)


@dataclass(frozen=True, eq=False)
class Passed:
    """Vectors that are read from end to end: pages of a mapped file are given back once they were read, so that a reading of all
    takes no more memory than one of a few. What is read again comes from the system's cache, or from the disk.
    """

    base: Base

    @property
    def shape(self) -> tuple[int, ...]:
        return self.base.shape

    def __len__(self) -> int:
        return len(self.base)

    def __getitem__(self, rows: Any, /) -> Vectors:
        part = np.array(self.base[rows], np.float32)  # a copy: the pages go
        mapped = getattr(self.base, "_mmap", None)
        if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)
        return part


class CandidateIndex(Protocol):
    """An index over some rows of a base, as the search asks it: :class:`casewise.archive.retrieval.index.Index` is one."""

    def serves(self, allowed: int, k: int) -> bool:
        """Whether the index is faster than the vectors themselves for this call."""
        ...

    def unknown(self, n: int, allowed: Mask | None) -> Rows:
        """The rows of a base of ``n`` that may be found and that are not in the index."""
        ...

    def candidates(self, units: npt.NDArray[np.float64], k: int, allowed: Mask | None) -> Iterator[Rows | None]:
        """For each query the indexed rows that hold its k best; None where the vectors have to be read instead."""
        ...


def top_k(
    queries: npt.ArrayLike,
    base: Base,
    k: int,
    *,
    rows: npt.ArrayLike | None = None,
    exclude: Sequence[int] | Rows = (),
    index: CandidateIndex | None = None,
) -> tuple[Scores, Rows]:
    """The ``k`` rows of ``base`` most like each query.

    Without an index the answer is exact: scores are computed in float64 for every row that float32 cannot rule
    out. Rows that an index does not know are searched exactly and merged.

    queries : (q, d) or (d,). base : (n, d) float32, in memory or mapped; neither needs unit length. A vector
        of zeros resembles nothing: its cosine is 0.
    k : at least 1; fewer columns come back where fewer rows may be found.
    rows : numbers of the rows that may be found, or a (n,) bool mask; None for all. exclude : row numbers
        that may not.
    index : made from this base (:mod:`casewise.archive.retrieval.index`), or None.
    Returns scores (q, k) float32, cosines from high to low, and rows (q, k) int64; equal scores by row
    number. Raises ArchiveError for queries of another dimension, values that are not finite, or rows outside
    the base.
    """
    units = unit_queries(queries, base.shape[1])
    if k < 1:
        msg = f"k is the number of similar vectors, 1 or more; got k = {k}."
        raise ArchiveError(msg)
    allowed = _allowed(len(base), rows, exclude)
    total = len(base) if allowed is None else int(np.count_nonzero(allowed))
    k = min(k, total)
    scores = np.empty((len(units), k), np.float32)
    found = np.empty((len(units), k), np.int64)
    if not k:
        return scores, found
    for number, candidates in enumerate(_candidates(units, base, k, allowed, total, index)):
        scores[number], found[number] = _best(units[number], base, candidates, k)
    return scores, found


def unit_queries(queries: npt.ArrayLike, dimension: int) -> npt.NDArray[np.float64]:
    """(q, d) float64 of length 1 (or 0, for a vector of zeros)."""
    given = np.atleast_2d(np.asarray(queries, np.float64))
    if given.ndim != 2 or given.shape[1] != dimension:
        msg = f"The vectors searched have {dimension} numbers; the query given has shape {np.shape(queries)}."
        raise ArchiveError(msg)
    if not np.isfinite(given).all():
        msg = "A query holds values that are not finite (NaN or infinity); mend the encoder or the image it came from."
        raise ArchiveError(msg)
    # Scaled by the largest value first: squares of very small or large numbers leave the range of float64.
    given = given / _nonzero(np.abs(given).max(axis=1, initial=0.0))[:, None]
    return given / _nonzero(np.linalg.norm(given, axis=1))[:, None]


def cosines(unit: npt.NDArray[np.float64], base: Base, rows: Rows) -> npt.NDArray[np.float64]:
    """(len(rows),) float64: cosine of a query of unit length (d,) with some rows of ``base`` (n, d).

    Every path of the search ends here, so a pair of vectors has one score however it was found.
    """
    scores = np.empty(len(rows))
    step = max(1, _BLOCK // (4 * base.shape[1]))
    for first in range(0, len(rows), step):
        part = np.asarray(base[rows[first : first + step]], np.float64)
        # einsum, not BLAS: its order of summation does not depend on how many rows there are.
        products = np.einsum("ij,j->i", part, unit)
        norms = _nonzero(np.sqrt(np.einsum("ij,ij->i", part, part)))
        scores[first : first + step] = products / norms
    if not np.isfinite(scores).all():
        raise ArchiveError(damaged(rows[~np.isfinite(scores)]))
    return np.clip(scores, -1.0, 1.0)


def mean(base: Base, rows: Rows, earlier: npt.NDArray[np.float64] | None = None, known: int = 0) -> npt.NDArray[np.float64]:
    """(d,) float64, the mean of some rows; ``earlier``: of the first ``known`` of them, which are then not read again."""
    total = np.zeros(base.shape[1]) if earlier is None else earlier * known
    for first in range(known, len(rows), _STEP):
        total = total + stretch(base, rows[first : first + _STEP]).sum(axis=0, dtype=np.float64)
    return np.asarray(total / max(1, len(rows)))


def stretch(base: Base, rows: Rows) -> Vectors:
    """Some rows of a base, not copied where they follow one another."""
    low, high = int(rows[0]), int(rows[-1]) + 1
    return np.asarray(base[low:high] if high - low == len(rows) else base[rows])


def rounding(dimension: int) -> float:
    """How far a float32 scalar product of two unit vectors can lie from the true one, with a factor 2 to
    spare.

    Source: N. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1: n·u / (1 − n·u).
    """
    return (dimension + 8) * 2.0**-23


def _candidates(
    units: npt.NDArray[np.float64],
    base: Base,
    k: int,
    allowed: Mask | None,
    total: int,
    index: CandidateIndex | None,
) -> Iterator[Rows]:
    """For each query the rows among which its k best are."""
    if index is None or not index.serves(total, k):
        yield from _exact(units, base, k, _numbers(allowed, len(base)))
        return
    unknown = index.unknown(len(base), allowed)
    beside = _exact(units, base, min(k, len(unknown)), unknown) if len(unknown) else None
    for unit, known in zip(units, index.candidates(units, k, allowed), strict=True):
        if known is None:  # the cells that were read hold too few
            yield next(_exact(unit[None], base, k, _numbers(allowed, len(base))))
            if beside is not None:
                next(beside)
        else:
            yield known if beside is None else np.concatenate([known, next(beside)])


def _exact(units: npt.NDArray[np.float64], base: Base, k: int, rows: slice | Rows) -> Iterator[Rows]:
    """For each query the rows whose float32 score is within rounding of the k-th best; the base is read once, piece by piece."""
    slack = 2 * rounding(base.shape[1])
    queries = units.astype(np.float32)
    kept: list[tuple[Scores, Rows]] = [(np.empty(0, np.float32), np.empty(0, np.int64)) for _ in units]
    for numbers, piece in _pieces(base, rows, max(1, _BLOCK // max(base.shape[1], len(units)))):
        inverse = (1.0 / _nonzero(np.sqrt(np.einsum("ij,ij->i", piece, piece)))).astype(np.float32)
        # One query is a matrix-vector product, which reads the piece at the memory's speed.
        products = (piece @ queries[0])[None] if len(queries) == 1 else queries @ piece.T
        products *= inverse
        if not np.isfinite(products).all():
            raise ArchiveError(damaged(numbers[~np.isfinite(products).all(axis=0)]))
        for place, scores in enumerate(products):
            best, known = kept[place]
            new = scores >= _kth(scores, k) - slack
            best, known = np.concatenate([best, scores[new]]), np.concatenate([known, numbers[new]])
            still = best >= _kth(best, k) - slack
            kept[place] = best[still], known[still]
    for _, known in kept:
        yield known


def _kth(scores: Scores, k: int) -> float:
    """The k-th best of some scores; −∞ where there are fewer."""
    return float(np.partition(scores, len(scores) - k)[len(scores) - k]) if len(scores) >= k else -np.inf


def _pieces(base: Base, rows: slice | Rows, step: int) -> Iterator[tuple[Rows, Vectors]]:
    """(row numbers, their vectors), so many at a time that little is copied."""
    if isinstance(rows, slice):
        for first in range(rows.start, rows.stop, step):
            last = min(first + step, rows.stop)
            yield np.arange(first, last), base[first:last]
        return
    for first in range(0, len(rows), step):
        numbers = rows[first : first + step]
        low, high = int(numbers[0]), int(numbers[-1]) + 1
        if _SPARSE * (high - low) <= len(numbers):
            yield numbers, base[low:high][numbers - low]
        else:
            yield numbers, base[numbers]


def _best(unit: npt.NDArray[np.float64], base: Base, candidates: Rows, k: int) -> tuple[Scores, Rows]:
    scores = cosines(unit, base, candidates).astype(np.float32)
    order = np.lexsort((candidates, -scores))[:k]
    return scores[order], candidates[order]


def _allowed(n: int, rows: npt.ArrayLike | None, exclude: Sequence[int] | Rows) -> Mask | None:
    """(n,) bool, or None where every row may be found."""
    left_out = _row_numbers(exclude, n)
    if rows is None and not len(left_out):
        return None
    given = None if rows is None else np.asarray(rows)
    if given is None:
        allowed = np.ones(n, bool)
    elif given.dtype == bool:
        if given.shape != (n,):
            msg = f"A mask of rows has one value a row, ({n},); got {given.shape}."
            raise ArchiveError(msg)
        allowed = given.copy() if len(left_out) else given
    else:
        allowed = np.zeros(n, bool)
        allowed[_row_numbers(given, n)] = True
    allowed[left_out] = False
    return allowed


def _row_numbers(rows: npt.ArrayLike, n: int) -> Rows:
    numbers = np.asarray(rows, np.int64).reshape(-1)
    if numbers.size and (numbers.min() < 0 or numbers.max() >= n):
        msg = (
            f"Rows are numbered from 0 to {n - 1} here; got rows from {numbers.min()} to "
            f"{numbers.max()}: the vectors' file was cut off or is another archive's."
        )
        raise ArchiveError(msg)
    return numbers


def _numbers(allowed: Mask | None, n: int) -> slice | Rows:
    return slice(0, n) if allowed is None else np.flatnonzero(allowed)


def _nonzero(lengths: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    return np.where(lengths == 0, lengths.dtype.type(1), lengths)


def damaged(rows: Rows) -> str:
    """The sentence for rows of vectors that are no numbers."""
    return (
        f"Row {int(rows[0])} of the vectors holds values that are not finite numbers; restore their file "
        "from a copy or import the images again."
    )
