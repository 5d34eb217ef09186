"""Cases most like one of the archive's, for the case page."""

from __future__ import annotations

from casewise.errors import NothingKnownError
from casewise.image import Image
from casewise.result import SimilarCase
from casewise.server.cases import Cases
from casewise.server.jobs import Jobs
from casewise.server.schemas.cases import Similar
from casewise.server.vectors import encoder
from casewise.server.worklist import Row

_AT_ONCE = 16  # images that are given a vector while a person waits


def find(cases: Cases, jobs: Jobs, row: Row, image: Image, k: int) -> tuple[list[Similar], str | None]:
    """(the ``k`` most similar cases, a sentence where they were not compared by their pixels).

    Images without a vector get one by a job; until then cases are compared by what is known beside the pixels.
    """
    archive, note = cases.archive, None
    missing = archive.without_vector(encoder())
    if missing <= _AT_ONCE:
        found = archive.similar(image, k=k, encoder=encoder(), exclude=[row.key])
    else:
        jobs.add("embed", {"title": "Compare images"}, unique_key="embed", priority=1)
        note = f"{missing} images have no vector yet: cases were compared by what is known beside their pixels."
        try:
            found = archive.similar(image, k=k, by=["content"], exclude=[row.key])
        except NothingKnownError:
            found = []
    return _lines(cases, found), note


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
