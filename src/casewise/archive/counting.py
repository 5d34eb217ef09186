"""Counts of masks, sites and subjects of some of an archive's images, from its catalogue alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

import sqlalchemy as sa

from casewise.archive.catalogue import Catalogue, images, labels
from casewise.archive.report import ImportReport

_AT_ONCE = 500


def count_masks(catalogue: Catalogue, keys: Collection[str], report: ImportReport) -> None:
    """Set ``masks``, ``sites`` and ``subjects`` of a report to those of the images of ``keys``."""
    masks: Counter[str] = Counter()
    sites: Counter[str] = Counter()
    subjects: set[str] = set()
    with catalogue.read() as connection:
        for some in _in_parts(sorted(keys)):
            chosen = images.c.key.in_(some)
            for site, subject in connection.execute(sa.select(images.c.site, images.c.subject).where(chosen)):
                sites.update([site] if site is not None else [])
                subjects.update([subject] if subject is not None else [])
            held = sa.select(labels.c.name).join(images, images.c.id == labels.c.image_id)
            masks.update(connection.scalars(held.where(chosen, labels.c.kind == "mask")))
    report.masks, report.sites, report.subjects = dict(masks), dict(sites), len(subjects)


def _in_parts(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(keys), _AT_ONCE):
        yield keys[first : first + _AT_ONCE]
