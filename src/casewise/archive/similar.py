"""The cases most like an image: latent vectors and content joined into one score.

score = 0.7 × latent + 0.3 × content. latent: cosine of the encoder's vectors after the archive's mean vector is taken off both (vectors of
one network all point much the same way; what is left is how images differ). content: Gower's similarity of what is known of both.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from casewise.archive.embedding import Vectors
from casewise.archive.facts import content_of
from casewise.case import Case, Structure
from casewise.encoder import Encoder
from casewise.errors import ArchiveError, UsageError
from casewise.image import Image
from casewise.result import SimilarCase

if TYPE_CHECKING:
    from casewise.archive.archive import Archive

WEIGHTS = {"latent": 0.7, "content": 0.3}


def find_similar(
    archive: Archive,
    image: Image,
    k: int,
    by: tuple[str, ...],
    encoder: Encoder | None,
    region: npt.NDArray[np.bool_] | None,
    exclude: Collection[str],
    structures: Sequence[Structure | str],
    among: Collection[str] | None,
) -> list[SimilarCase]:
    """See :meth:`casewise.archive.Archive.similar`."""
    _check(k, by, encoder, region)
    left_out = {*exclude, *archive.keys_of(image)}
    cases = [case for case in archive.cases(structures, keys=among) if case.key not in left_out]
    if not cases:
        return []
    terms: dict[str, npt.NDArray[np.float64]] = {}
    if "content" in by:
        terms["content"] = _content(image, cases)
    if "latent" in by and encoder is not None:
        terms["latent"] = _latent(archive, image, cases, encoder, region)
    weight = sum(WEIGHTS[name] for name in terms)
    scores = sum((WEIGHTS[name] / weight * term for name, term in terms.items()), np.zeros(len(cases)))
    order = np.lexsort((np.arange(len(cases)), -scores))[:k]
    return [
        _similar(cases[place], float(scores[place]), {name: float(term[place]) for name, term in terms.items()}) for place in order
    ]


def _check(k: int, by: tuple[str, ...], encoder: Encoder | None, region: object) -> None:
    if not by or any(name not in WEIGHTS for name in by):
        msg = f"Similarity is by latent, content or both; given was {', '.join(by) or 'nothing'}."
        raise UsageError(msg)
    if "latent" in by and encoder is None:
        msg = "Similarity by latent needs an encoder (a model's); give one, or ask by content alone."
        raise UsageError(msg)
    if region is not None and "latent" not in by:
        msg = "A region limits what is looked at, so it needs similarity by latent; ask by latent, or leave the region out."
        raise UsageError(msg)
    if k < 1:
        msg = f"At least one similar case must be asked for; given was k = {k}."
        raise UsageError(msg)


def _content(image: Image, cases: Sequence[Case]) -> npt.NDArray[np.float64]:
    from casewise.archive.content import gower

    return np.asarray(gower(content_of(image), [case.content for case in cases]), np.float64)


def _latent(
    archive: Archive, image: Image, cases: Sequence[Case], encoder: Encoder, region: npt.NDArray[np.bool_] | None
) -> npt.NDArray[np.float64]:
    """(n,) cosines; −1 for a case that has no vector (it could not be read any more)."""
    archive.embed(encoder)
    keys, rows, base = archive.vectors(encoder)
    if not keys:
        msg = "None of the archive's images could be encoded, so none can be found by latent; ask by content."
        raise ArchiveError(msg)
    vectors = np.asarray(base[rows], np.float32)
    query = encoder.encode([image], None if region is None else [region])[0]
    mean = vectors.mean(axis=0, dtype=np.float64)
    place = {key: number for number, key in enumerate(keys)}
    known = np.asarray([place.get(case.key, -1) for case in cases])
    cosines = np.full(len(cases), -1.0)
    cosines[known >= 0] = _cosines(query - mean, vectors[known[known >= 0]] - mean)
    return cosines


def _cosines(query: npt.NDArray[np.float64], others: npt.NDArray[np.float64] | Vectors) -> npt.NDArray[np.float64]:
    lengths = np.linalg.norm(query) * np.linalg.norm(others, axis=1)
    return np.asarray((others @ query) / np.maximum(lengths, 1e-12), np.float64)


def _similar(case: Case, score: float, terms: dict[str, float]) -> SimilarCase:
    latent, content = terms.get("latent"), terms.get("content")
    return SimilarCase(case.key, case.name, score, latent, content, case.site, case.category)
