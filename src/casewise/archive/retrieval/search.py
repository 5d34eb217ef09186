"""The k vectors most like a query by cosine, in a base that is searched row by row or through an index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from casewise.errors import ArchiveError

Vectors = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_BLOCK = 1 << 25  # numbers of a temporary array: 128 MiB of float32
_SPARSE = 0.25  # below this share of a base's rows they are gathered, above it all rows are read in order


class CandidateIndex(Protocol):
    """An index over some rows of a base, as the search asks it: :class:`casewise.archive.retrieval.index.Index` is one."""

    def serves(self, queries: int, allowed: int, k: int) -> bool:
        """Whether the index is faster than the vectors themselves for this call."""
        ...

    def unknown(self, n: int, allowed: Mask | None) -> Rows:
        """The rows of a base of ``n`` that may be found and that are not in the index."""
        ...

    def candidates(self, units: npt.NDArray[np.float64], base: Vectors, k: int, allowed: Mask | None) -> Iterator[Rows | None]:
        """For each query the indexed rows that hold its k best; None where the vectors have to be read instead."""
        ...


def top_k(
    queries: npt.ArrayLike,
    base: Vectors,
    k: int,
    *,
    rows: npt.ArrayLike | None = None,
    exclude: Sequence[int] | Rows = (),
    index: CandidateIndex | None = None,
) -> tuple[Scores, Rows]:
    """The ``k`` rows of ``base`` most like each query.

    Without an index, and with one whose ``exact`` is true, the answer is exact: scores are computed in
    float64 for every row that float32 cannot rule out. Rows the index does not know are searched exactly and
    merged.

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


def cosines(unit: npt.NDArray[np.float64], base: Vectors, rows: Rows) -> npt.NDArray[np.float64]:
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
        raise ArchiveError(_damaged(rows[~np.isfinite(scores)]))
    return np.clip(scores, -1.0, 1.0)


def rounding(dimension: int) -> float:
    """How far a float32 scalar product of two unit vectors can lie from the true one, with a factor 2 to
    spare.

    Source: N. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1: n·u / (1 − n·u).
    """
    return (dimension + 8) * 2.0**-23


def _candidates(
    units: npt.NDArray[np.float64],
    base: Vectors,
    k: int,
    allowed: Mask | None,
    total: int,
    index: CandidateIndex | None,
) -> Iterator[Rows]:
    """For each query the rows among which its k best are."""
    if index is None or not index.serves(len(units), total, k):
        yield from _exact(units, base, k, _numbers(allowed, len(base)))
        return
    unknown = index.unknown(len(base), allowed)
    beside = _exact(units, base, min(k, len(unknown)), unknown) if len(unknown) else None
    for unit, known in zip(units, index.candidates(units, base, k, allowed), strict=True):
        if known is None:  # the index cannot rule out enough rows: so many are alike that all have to be read
            yield next(_exact(unit[None], base, k, _numbers(allowed, len(base))))
            if beside is not None:
                next(beside)
        else:
            yield known if beside is None else np.concatenate([known, next(beside)])


def _exact(units: npt.NDArray[np.float64], base: Vectors, k: int, rows: slice | Rows) -> Iterator[Rows]:
    """For each query the rows whose float32 score is within rounding of the k-th best."""
    keep = None
    if not isinstance(rows, slice) and len(rows) > _SPARSE * len(base):
        keep, rows = rows, slice(0, len(base))

    def numbers(places: Rows) -> Rows:
        if keep is not None:
            return keep[places]
        return places + rows.start if isinstance(rows, slice) else rows[places]

    # A gather copies the rows once for all queries; a slice copies nothing.
    block = base[rows]
    inverse = (1.0 / _nonzero(np.sqrt(np.einsum("ij,ij->i", block, block)))).astype(np.float32)
    slack = 2 * rounding(base.shape[1])
    step = max(1, _BLOCK // len(block))
    for first in range(0, len(units), step):
        part = units[first : first + step].astype(np.float32)
        # One query is a matrix-vector product, which reads the base once at the memory's speed.
        products = (block @ part[0])[None] if len(part) == 1 else part @ block.T
        for scores in products * inverse:
            if keep is not None:
                scores = scores[keep]
            if not np.isfinite(scores).all():
                bad = np.flatnonzero(~np.isfinite(scores))
                raise ArchiveError(_damaged(numbers(bad)))
            kth = np.partition(scores, len(scores) - k)[len(scores) - k]
            yield numbers(np.flatnonzero(scores >= kth - slack))


def _best(unit: npt.NDArray[np.float64], base: Vectors, candidates: Rows, k: int) -> tuple[Scores, Rows]:
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


def _damaged(rows: Rows) -> str:
    return (
        f"Row {int(rows[0])} of the vectors holds values that are not finite numbers; restore their file "
        "from a copy or import the images again."
    )
