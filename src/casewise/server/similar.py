"""Cases most like one of the archive's, for the case page."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from casewise.archive import Archive, Selection
from casewise.archive.loading import Line
from casewise.archive.retrieval.content import Field
from casewise.archive.retrieval.image_columns import Snapshot
from casewise.archive.retrieval.latent import Space
from casewise.archive.retrieval.similar import find_similar
from casewise.archive.selection import EVERYTHING
from casewise.case import Case
from casewise.encoder import Encoder
from casewise.errors import NothingKnownError
from casewise.image import Image
from casewise.progress import silent
from casewise.result import SimilarCase
from casewise.server.cases import Cases
from casewise.server.jobs import Jobs
from casewise.server.schemas.cases import Similar
from casewise.server.vectors import encoder
from casewise.server.worklist import Row

Vectors = npt.NDArray[np.float32]


def find(cases: Cases, jobs: Jobs, row: Row, image: Image, k: int) -> tuple[list[Similar], str | None]:
    """(the ``k`` most similar cases, a sentence where some or all were not compared by their pixels).

    Nothing is encoded while a person waits: images without a vector get one by a job, and are compared by it next time.
    """
    own = cases.archive.snapshot(Selection(among=frozenset({row.key})), encoder())
    rows = own.rows[own.places] if own.rows is not None else own.places[:0]
    known = _Encoded(encoder(), cases.archive.vector(encoder(), int(rows[0]))) if len(rows) and rows[0] >= 0 else None
    note, missing = None, len(cases.archive.ids_without_vector(encoder()))
    if missing:
        jobs.add("embed", {"title": "Compare images"}, unique_key="embed", priority=1)
        some = "1 image has" if missing == 1 else f"{missing} images have"
        note = f"{some} no vector yet, and cannot be compared by pixels."
    ways = ("latent", "content") if known is not None else ("content",)
    try:
        found = find_similar(_AsItStands(cases.archive, row.key), image, k, ways, known, None, EVERYTHING, silent)
    except NothingKnownError:  # nothing but pixels to compare by, and these have no vector
        found = []
    return _lines(cases, found), note


class _Encoded:
    """An encoder that gives one image's vector, which is known."""

    def __init__(self, encoder: Encoder, vector: Vectors) -> None:
        self.key, self._encoder, self._vector = encoder.key, encoder, vector

    @property
    def dimension(self) -> int:
        return self._encoder.dimension

    def encode(self, images: Sequence[Image], regions: Sequence[npt.NDArray[np.bool_] | None] | None = None) -> Vectors:
        return np.stack([self._vector for _ in images])


class _AsItStands:
    """The archive with the vectors that it has; none is made. key : of the image that is compared."""

    def __init__(self, archive: Archive, key: str) -> None:
        self._archive, self._key = archive, key

    def keys_of(self, image: Image) -> set[str]:
        return {self._key}

    def embed(self, encoder: Encoder, progress: object = silent, *, again: bool = True) -> int:
        return 0

    def snapshot(self, selection: Selection, encoder: Encoder | None = None, fields: Sequence[Field] = ()) -> Snapshot:
        return self._archive.snapshot(selection, encoder, fields)

    def space(self, encoder: Encoder, snapshot: Snapshot) -> Space:
        return self._archive.space(encoder, snapshot)

    def lines(self, ids: Sequence[int]) -> list[Line]:
        return self._archive.lines(ids)

    def cases(self, *, keys: Collection[str]) -> list[Case]:
        return self._archive.cases(keys=keys)


def _lines(cases: Cases, found: list[SimilarCase]) -> list[Similar]:
    rows = {row.key: row for row in cases.worklist.rows([one.key for one in found])}
    return [
        Similar(
            key=one.key,
            name=cases.name(rows[one.key]),
            score=one.score,
            latent=one.latent,
            content=one.content,
            category=one.category,
            site=one.site,
            structures=list(rows[one.key].structures),
        )
        for one in found
        if one.key in rows
    ]
