"""The cases most like an image: latent vectors and content joined into one score.

score = 0.7 × latent + 0.3 × content. latent: cosine of the encoder's vectors after the archive's mean vector is taken off both
(:mod:`casewise.archive.retrieval.latent`). content: Gower's similarity of what is known of both.

Columns and vectors are ranked. Only of the cases that are found, or compared within a region, is more read from the catalogue.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from casewise.archive.facts import content_of
from casewise.archive.loading import Line
from casewise.archive.retrieval.content import DEFAULT_FIELDS, ContentTable, Field, known_fields
from casewise.archive.retrieval.image_columns import Snapshot
from casewise.archive.retrieval.latent import Space
from casewise.archive.selection import Selection
from casewise.case import Case
from casewise.encoder import Encoder
from casewise.errors import ArchiveError, CasewiseError, NothingKnownError, UsageError
from casewise.image import Box, Image
from casewise.orientation import Turn, displayed
from casewise.progress import Progress
from casewise.result import SimilarCase

Numbers = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

WEIGHTS = {"latent": 0.7, "content": 0.3}
_COMPARING = "Comparing regions"
_LOOKED_AT = 64  # cases compared within a region: those most alike as a whole
_PRESELECTED = 1000  # cases that a search through an index hands on to be compared in full


class Searched(Protocol):
    """What the search needs of an archive; :class:`casewise.archive.Archive` has it."""

    def keys_of(self, image: Image) -> set[str]: ...

    def embed(self, encoder: Encoder, progress: Progress = ..., *, again: bool = ...) -> object: ...

    def snapshot(self, selection: Selection, encoder: Encoder | None = ..., fields: Sequence[Field] = ...) -> Snapshot: ...

    def space(self, encoder: Encoder, snapshot: Snapshot) -> Space: ...

    def lines(self, ids: Sequence[int]) -> list[Line]: ...

    def cases(self, *, keys: Collection[str]) -> list[Case]: ...


@dataclass(frozen=True, eq=False)
class _Latents:
    """How alike some images are to the query by their vectors. places : (m,) in the snapshot.

    values : (m,) cosines, within ``slack`` of the true ones; −1 for an image without a vector (it could not be read any more).
    """

    places: Places
    values: Numbers
    slack: Numbers

    def at(self, chosen: Places, values: Numbers) -> _Latents:
        return _Latents(self.places[chosen], values, np.zeros(len(chosen)))


def find_similar(
    archive: Searched,
    image: Image,
    k: int,
    by: tuple[str, ...],
    encoder: Encoder | None,
    region: npt.NDArray[np.bool_] | None,
    selection: Selection,
    progress: Progress,
) -> list[SimilarCase]:
    """See :meth:`casewise.archive.Archive.similar`."""
    _check(k, by, encoder, region)
    compared = encoder if "latent" in by else None
    content = content_of(image) if "content" in by else {}
    if compared is not None:
        archive.embed(compared, progress, again=False)  # else every query would read the images that cannot be read
    snapshot = archive.snapshot(selection.but(archive.keys_of(image)), compared, known_fields(content))
    if not len(snapshot.places):
        return []
    ranking = _Ranking(archive, snapshot, compared, image)
    latents = ranking.latents(k) if compared is not None else None
    if latents is not None and compared is not None and region is not None:
        latents = ranking.nearest(latents, max(_LOOKED_AT, 2 * k))
        latents = latents.at(np.arange(len(latents.places)), _within(archive, snapshot, latents, image, region, compared, progress))
    places = snapshot.places if latents is None else latents.places
    table = ContentTable.of([column.at(places) for column in snapshot.fields], len(places))
    likeness = table.similarity(content) if table.comparable(content) else None
    if latents is None and likeness is None:
        fields = ", ".join(field.name.replace("_", " ") for field in DEFAULT_FIELDS)
        msg = (
            f"Nothing is known of this image beside its pixels that is known of the archive's cases too ({fields}); ask by latent."
        )
        raise NothingKnownError(msg)
    return ranking.best(places, latents, likeness, k)


class _Ranking:
    """The ranking of one query. encoder : None where images are compared by content alone."""

    def __init__(self, archive: Searched, snapshot: Snapshot, encoder: Encoder | None, image: Image) -> None:
        self._archive, self._snapshot = archive, snapshot
        if encoder is None or snapshot.rows is None:
            return
        self._rows = snapshot.rows
        if not (self._rows >= 0).any():
            msg = "None of the archive's images could be encoded, so none can be found by latent; ask by content."
            raise ArchiveError(msg)
        self._space = archive.space(encoder, snapshot)
        self._query = np.asarray(encoder.encode([image])[0], np.float64)

    def latents(self, k: int) -> _Latents:
        """Of all images that are selected; of a large archive those that an index takes for the most similar."""
        places = self._space.nearest(self._query, self._snapshot.places, max(_PRESELECTED, 20 * k))
        values, slack = np.full(len(places), -1.0), np.zeros(len(places))
        encoded = np.flatnonzero(self._rows[places] >= 0)
        values[encoded], slack[encoded] = self._space.rough(self._query, self._rows[places[encoded]])
        return _Latents(places, values, slack)

    def nearest(self, latents: _Latents, count: int) -> _Latents:
        """The ``count`` most similar, by their places, with their true cosines."""
        chosen = _candidates(latents.values, latents.slack, count)
        exact = self._exact(latents, chosen)
        best = np.sort(chosen[np.argsort(-exact.values, kind="stable")[:count]])
        return exact.at(np.searchsorted(chosen, best), exact.values[np.searchsorted(chosen, best)])

    def best(self, places: Places, latents: _Latents | None, likeness: Numbers | None, k: int) -> list[SimilarCase]:
        """The ``k`` with the highest sum of the two terms; of equal ones those that came into the archive first."""
        share = {"latent": WEIGHTS["latent"] * (latents is not None), "content": WEIGHTS["content"] * (likeness is not None)}
        weight = {name: value / sum(share.values()) for name, value in share.items()}
        scores = np.zeros(len(places)) if likeness is None else weight["content"] * likeness
        if latents is not None:
            slack = weight["latent"] * latents.slack
            chosen = _candidates(scores + weight["latent"] * latents.values, slack, k)
            places, latents = places[chosen], self._exact(latents, chosen)
            likeness = None if likeness is None else likeness[chosen]
            scores = scores[chosen] + weight["latent"] * latents.values
        order = np.lexsort((places, -scores))[:k]
        lines = {line.id: line for line in self._archive.lines(self._snapshot.ids[places[order]].tolist())}
        found = []
        for number, place in zip(self._snapshot.ids[places[order]].tolist(), order, strict=True):
            latent = None if latents is None else float(latents.values[place])
            content = None if likeness is None else float(likeness[place])
            if number in lines:
                line = lines[number]
                found.append(SimilarCase(line.key, line.name, float(scores[place]), latent, content, line.site, line.category))
        return found

    def _exact(self, latents: _Latents, chosen: Places) -> _Latents:
        values = latents.values[chosen]
        rough = np.flatnonzero(latents.slack[chosen] > 0)
        values[rough] = self._space.cosines(self._query, self._rows[latents.places[chosen[rough]]])
        return latents.at(chosen, values)


def _candidates(values: Numbers, slack: Numbers, k: int) -> Places:
    """Ascending numbers of those among which the ``k`` greatest are, each value lying within its slack."""
    if k >= len(values):
        return np.arange(len(values))
    least = values - slack
    kth = np.partition(least, len(least) - k)[len(least) - k]
    return np.flatnonzero(values + slack >= kth)


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


def _within(
    archive: Searched,
    snapshot: Snapshot,
    latents: _Latents,
    image: Image,
    region: npt.NDArray[np.bool_],
    encoder: Encoder,
    progress: Progress,
) -> Numbers:
    """(n,) cosines of what lies in the region and at the same place (as shares of its axes) in each case.

    The region is identified in the image at hand alone; −1 for a case that cannot be read or has other axes.
    """
    turn_of: Callable[[Image], Turn] = getattr(encoder, "turn", displayed)
    laid = turn_of(image).upright(region) if region.ndim == 2 else region
    box = Box.around(laid)
    cosines = np.full(len(latents.places), -1.0)
    if box is None:
        return cosines
    ids = snapshot.ids[latents.places].tolist()
    key_of = {line.id: line.key for line in archive.lines(ids)}
    cases = {case.key: case for case in archive.cases(keys=set(key_of.values()))}
    vectors = {}
    for place, number in enumerate(ids):
        progress(_COMPARING, place + 1, len(ids))
        try:
            other = cases[key_of[number]].image
        except (CasewiseError, KeyError):  # it cannot be read, or was removed meanwhile
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
