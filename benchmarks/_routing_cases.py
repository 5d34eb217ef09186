"""What the routing benchmark gives a router: the sets' images as views, each with its source and its part of the split."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from casewise.routing.degradation import resized
from casewise.routing.image_sampling import CaseViews, case_views
from casewise.routing.views import View, views
from experiments.routing import SOURCES, Source, cases, parts


@dataclass(frozen=True, eq=False)
class Entry:
    """An image: ``trained`` is what a router would learn from it, ``views`` what ``Router.route`` makes of it."""

    source: Source
    part: str
    name: str
    trained: CaseViews
    views: list[View]

    @property
    def category(self) -> str:
        return self.source.category

    @property
    def key(self) -> tuple[str, str]:
        return self.source.category, self.source.name


def entries(most: int = 1000) -> Iterator[Entry]:
    """Every image of every set; of a part of one source at most ``most``."""
    for source in SOURCES:
        found = cases(source)
        where = parts(source, found)
        counts: dict[str, int] = {}
        for case in found:
            part = where[case.key]
            counts[part] = counts.get(part, 0) + 1
            if counts[part] <= most:
                image = case.image
                own = [resized(view, 256) if max(view.shape[:2]) > 256 else view for view in views(image, colours=True)]
                yield Entry(source, part, case.name, case_views(case, across=True), own)


def training(
    found: list[Entry], sources: Collection[tuple[str, str]], categories: Collection[str], kinds: Collection[str]
) -> tuple[list[CaseViews], list[CaseViews]]:
    """(training, validation) without the (category, source) pairs ``sources``, ``categories``, and the sources ``kinds``.

    Sets whose licence keeps them out of the shipped router are learnt from too: without some sources the others are too few.
    """
    parted: tuple[list[CaseViews], list[CaseViews]] = ([], [])
    for entry in found:
        if entry.key in sources or entry.category in categories or entry.source.name in kinds:
            continue
        if not entry.source.trained:
            parted[0].append(entry.trained)
        elif entry.part != "test":
            parted[entry.part == "validation"].append(entry.trained)
    return parted
