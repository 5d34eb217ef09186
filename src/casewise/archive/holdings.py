"""What an archive holds, and what an import brought, counted in the catalogue: no image is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from casewise.archive.catalogue import images, labels

if TYPE_CHECKING:
    from casewise.archive.catalogue import Catalogue
    from casewise.archive.ingest.report import ImportReport

_AT_ONCE = 500
_PEOPLE = sa.func.coalesce(images.c.site, ""), images.c.subject


@dataclass(frozen=True)
class Holdings:
    """Counts of an archive.

    images : image contents. cases : images with a mask, a category or boxes: those that a model can learn from.
    subjects : people whose images these are, as far as it is known; ``without_subject`` images name none.
    structures, categories, sites, modalities : name → number of images (a structure: images with its mask).
    models : of those that the archive knows, name, task and folder.
    """

    images: int
    cases: int
    subjects: int
    without_subject: int
    structures: dict[str, int]
    categories: dict[str, int]
    sites: dict[str, int]
    modalities: dict[str, int]
    models: tuple[dict[str, object], ...]

    def to_json(self) -> dict[str, object]:
        return {**vars(self), "models": list(self.models)}


def holdings(catalogue: Catalogue, models: list[dict[str, object]]) -> Holdings:
    """What the archive of ``catalogue`` holds; ``models``: as :meth:`casewise.archive.Archive.models` gives them."""
    labelled = sa.exists().where(labels.c.image_id == images.c.id, labels.c.kind.in_(["mask", "boxes"]))
    with catalogue.read() as connection:
        count = connection.scalar(sa.select(sa.func.count()).select_from(images)) or 0
        cases = connection.scalar(sa.select(sa.func.count()).where(labelled | images.c.category.is_not(None))) or 0
        anonymous = connection.scalar(sa.select(sa.func.count()).where(images.c.subject.is_(None))) or 0
        people = sa.select(*_PEOPLE).where(images.c.subject.is_not(None)).distinct().subquery()
        subjects = connection.scalar(sa.select(sa.func.count()).select_from(people)) or 0
        named = sa.select(labels.c.name, sa.func.count()).where(labels.c.kind == "mask").group_by(labels.c.name)
        structures = {str(name): int(number) for name, number in connection.execute(named.order_by(labels.c.name))}
        counted = {}
        for column in (images.c.category, images.c.site, images.c.modality):
            query = sa.select(column, sa.func.count()).where(column.is_not(None)).group_by(column).order_by(column)
            counted[column.name] = {str(name): int(number) for name, number in connection.execute(query)}
    known = tuple({"name": entry["name"], "task": _task(entry), "path": entry["path"]} for entry in models)
    return Holdings(
        int(count),
        int(cases),
        int(subjects),
        int(anonymous),
        structures,
        counted["category"],
        counted["site"],
        counted["modality"],
        known,
    )


def structures(catalogue: Catalogue) -> dict[str, int]:
    """Mask's name → images that have it, in the order of the names."""
    named = sa.select(labels.c.name, sa.func.count()).where(labels.c.kind == "mask").group_by(labels.c.name)
    with catalogue.read() as connection:
        return {str(name): int(number) for name, number in connection.execute(named.order_by(labels.c.name))}


def categories(catalogue: Catalogue) -> dict[str, int]:
    """Category → images of it, in the order of the names."""
    column = images.c.category
    query = sa.select(column, sa.func.count()).where(column.is_not(None)).group_by(column).order_by(column)
    with catalogue.read() as connection:
        return {str(name): int(number) for name, number in connection.execute(query)}


def mask_names(catalogue: Catalogue) -> dict[str, list[str]]:
    """Key of each image → the names of its masks, in the order in which they came."""
    held = labels.c.image_id == images.c.id
    query = sa.select(images.c.key, labels.c.name).select_from(sa.outerjoin(images, labels, held & (labels.c.kind == "mask")))
    names: dict[str, list[str]] = {}
    with catalogue.read() as connection:
        for key, name in connection.execute(query.order_by(images.c.id, labels.c.id)):
            names.setdefault(str(key), []).extend([] if name is None else [str(name)])
    return names


def masked(catalogue: Catalogue) -> int:
    """How many images have a mask."""
    query = sa.select(sa.func.count(labels.c.image_id.distinct())).where(labels.c.kind == "mask")
    with catalogue.read() as connection:
        return int(connection.scalar(query) or 0)


def _task(entry: dict[str, object]) -> object:
    data = entry["data"]
    return data.get("task") if isinstance(data, dict) else None


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
