"""The cases most like an image: latent vectors and content joined into one score.

score = 0.7 × latent + 0.3 × content. latent: cosine of the encoder's vectors after the archive's mean vector is taken off both
(vectors of one network all point much the same way; what is left is how images differ). content: Gower's similarity of what is
known of both.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from casewise.archive.facts import content_of
from casewise.archive.retrieval.content import DEFAULT_FIELDS, comparable
from casewise.archive.retrieval.embedding import Vectors, store_of
from casewise.archive.retrieval.search import Rows
from casewise.case import Case, Structure
from casewise.encoder import Encoder
from casewise.errors import ArchiveError, CasewiseError, NothingKnownError, UsageError
from casewise.image import Box, Image
from casewise.orientation import Turn, displayed
from casewise.progress import Progress
from casewise.result import SimilarCase

Numbers = npt.NDArray[np.float64]

WEIGHTS = {"latent": 0.7, "content": 0.3}
_COMPARING = "Comparing regions"
_LOOKED_AT = 64  # cases compared within a region: those most alike as a whole
_PRESELECTED = 1000  # cases that a search through an index hands on to be compared in full


class Searched(Protocol):
    """What the search needs of an archive; :class:`casewise.archive.Archive` has it."""

    @property
    def folder(self) -> Path: ...

    def keys_of(self, image: Image) -> set[str]: ...

    def embed(self, encoder: Encoder, progress: Progress = ...) -> object: ...

    def cases(self, structures: Sequence[Structure | str] = ..., *, keys: Collection[str] | None = ...) -> list[Case]: ...

    def vectors(self, encoder: Encoder) -> tuple[list[str], Rows, Vectors]: ...

    def mean_vector(self, encoder: Encoder) -> Numbers: ...


def find_similar(
    archive: Searched,
    image: Image,
    k: int,
    by: tuple[str, ...],
    encoder: Encoder | None,
    region: npt.NDArray[np.bool_] | None,
    exclude: Collection[str],
    structures: Sequence[Structure | str],
    among: Collection[str] | None,
    progress: Progress,
) -> list[SimilarCase]:
    """See :meth:`casewise.archive.Archive.similar`."""
    _check(k, by, encoder, region)
    left_out = {*exclude, *archive.keys_of(image)}
    nearest = None
    if "latent" in by and encoder is not None:
        archive.embed(encoder, progress)
        nearest = _preselected(archive, image, k, encoder, left_out, among)
    cases = [case for case in archive.cases(structures, keys=among if nearest is None else nearest) if case.key not in left_out]
    if not cases:
        return []
    terms: dict[str, Numbers] = {}
    if "latent" in by and encoder is not None:
        terms["latent"] = _latent(archive, encoder.encode([image])[0], cases, encoder)
        if region is not None:
            chosen = np.argsort(-terms["latent"], kind="stable")[: max(_LOOKED_AT, 2 * k)]
            cases = [cases[place] for place in sorted(chosen)]
            terms["latent"] = _within(image, region, cases, encoder, progress)
    if "content" in by and _says_something(image, cases):
        terms["content"] = _content(image, cases)
    if not terms:
        fields = ", ".join(field.name.replace("_", " ") for field in DEFAULT_FIELDS)
        msg = (
            f"Nothing is known of this image beside its pixels that is known of the archive's cases too ({fields}); ask by latent."
        )
        raise NothingKnownError(msg)
    weight = sum(WEIGHTS[name] for name in terms)
    scores = sum((WEIGHTS[name] / weight * term for name, term in terms.items()), np.zeros(len(cases)))
    order = np.lexsort((np.arange(len(cases)), -scores))[:k]
    return [
        _similar(cases[place], float(scores[place]), {name: float(term[place]) for name, term in terms.items()}) for place in order
    ]


def _check(k: int, by: tuple[str, ...], encoder: Encoder | None, region: object) -> None:
    if not by or any(name not in WEIGHTS for name in by):
        msg = f"Similarity is by latent, content or both; got {', '.join(by) or 'nothing'}."
        raise UsageError(msg)
    if "latent" in by and encoder is None:
        msg = "Similarity by latent needs an encoder (a model's); give one, or ask by content alone."
        raise UsageError(msg)
    if region is not None and "latent" not in by:
        msg = "A region limits what is compared, so it needs similarity by latent; search by latent, or leave the region out."
        raise UsageError(msg)
    if k < 1:
        msg = f"k is the number of similar cases, 1 or more; got k = {k}."
        raise UsageError(msg)


def _says_something(image: Image, cases: Sequence[Case]) -> bool:
    """Whether content distinguishes any two cases: the image and a case have a known field in common."""
    return comparable(content_of(image), [case.content for case in cases])


def _content(image: Image, cases: Sequence[Case]) -> Numbers:
    from casewise.archive.retrieval.content import gower

    return np.asarray(gower(content_of(image), [case.content for case in cases]), np.float64)


def _preselected(
    archive: Searched, image: Image, k: int, encoder: Encoder, left_out: Collection[str], among: Collection[str] | None
) -> set[str] | None:
    """In an archive so large that FAISS serves it, the keys among which the most similar are; None in a smaller one."""
    from casewise.archive.retrieval.index import CELLS_FROM
    from casewise.archive.retrieval.index_files import current_index
    from casewise.archive.retrieval.search import top_k

    keys, rows, base = archive.vectors(encoder)
    if len(keys) < CELLS_FROM:
        return None
    allowed = [row for key, row in zip(keys, rows, strict=True) if key not in left_out and (among is None or key in among)]
    if not allowed:
        return set()
    index = current_index(store_of(archive.folder, encoder), rows)
    _, found = top_k(encoder.encode([image]), base, max(_PRESELECTED, 20 * k), rows=np.asarray(allowed), index=index)
    wanted = set(found[0].tolist())
    return {key for key, row in zip(keys, rows.tolist(), strict=True) if row in wanted}


def _latent(archive: Searched, query: Vectors, cases: Sequence[Case], encoder: Encoder) -> Numbers:
    """(n,) cosines; −1 for a case that has no vector (it could not be read any more)."""
    keys, rows, base = archive.vectors(encoder)
    if not keys:
        msg = "None of the archive's images could be encoded, so none can be found by latent; ask by content."
        raise ArchiveError(msg)
    mean = archive.mean_vector(encoder)
    row_of = dict(zip(keys, rows.tolist(), strict=True))
    numbers = np.asarray([row_of.get(case.key, -1) for case in cases])
    cosines = np.full(len(cases), -1.0)
    cosines[numbers >= 0] = _cosines(query - mean, np.asarray(base[numbers[numbers >= 0]], np.float64) - mean)
    return cosines


def _within(image: Image, region: npt.NDArray[np.bool_], cases: Sequence[Case], encoder: Encoder, progress: Progress) -> Numbers:
    """(n,) cosines of what lies in the region and at the same place (as shares of its axes) in each case.

    The region is identified in the image at hand alone; −1 for a case that cannot be read or has other axes.
    """
    turn_of: Callable[[Image], Turn] = getattr(encoder, "turn", displayed)
    laid = turn_of(image).upright(region) if region.ndim == 2 else region
    box = Box.around(laid)
    cosines = np.full(len(cases), -1.0)
    if box is None:
        return cosines
    vectors = {}
    for place, case in enumerate(cases):
        progress(_COMPARING, place + 1, len(cases))
        try:
            other = case.image
        except CasewiseError:
            continue
        if other.spatial_dims == image.spatial_dims:
            vectors[place] = encoder.encode([other], [_transferred(box, laid.shape, other, turn_of(other))])[0]
    if vectors:
        stacked = np.stack(list(vectors.values())).astype(np.float64)
        query = encoder.encode([image], [region])[0]
        mean = stacked.mean(axis=0) if len(stacked) > 1 else np.zeros(stacked.shape[1])
        cosines[list(vectors)] = _cosines(query - mean, stacked - mean)
    return cosines


def _transferred(box: Box, shape: Sequence[int], other: Image, turn: Turn) -> npt.NDArray[np.bool_]:
    """(*spatial) of ``other``: the box at the same place, as a share of each axis; a picture is laid by ``turn`` for that."""
    flat = other.spatial_dims == 2
    region = np.zeros([other.spatial_shape[axis] for axis in turn.axes] if flat else other.spatial_shape, bool)
    window = []
    for low, high, length, there in zip(box.lower, box.upper, shape, region.shape, strict=True):
        start = min(there - 1, low * there // length)
        window.append(slice(start, max(start + 1, -(-high * there // length))))
    region[tuple(window)] = True
    return np.ascontiguousarray(turn.back(region)) if flat else region


def _cosines(query: Numbers, others: Numbers) -> Numbers:
    lengths = np.linalg.norm(query) * np.linalg.norm(others, axis=1)
    return np.asarray((others @ query) / np.maximum(lengths, 1e-12), np.float64)


def _similar(case: Case, score: float, terms: dict[str, float]) -> SimilarCase:
    latent, content = terms.get("latent"), terms.get("content")
    return SimilarCase(case.key, case.name, score, latent, content, case.site, case.category)
