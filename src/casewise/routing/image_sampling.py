"""From an archive's images to what the router's network is trained on: equally many changed pictures of each category."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from casewise.case import Case
from casewise.image import Image
from casewise.routing.degradation import degrade, resized
from casewise.routing.outliers import outlier
from casewise.routing.route import UNKNOWN
from casewise.routing.views import View, image_of, views

_EDGE = 192  # pixels that are kept of a view in memory; the network takes fewer
_SLICES = 15
_AS_IT_IS = 4
_REAL = 0.65  # of the pictures of *unknown*, where there are real images of other kinds; the others are made up
_LEAST = 12  # voxels a slice along another axis needs


@dataclass(frozen=True, eq=False)
class CaseViews:
    """The views of one case, and what a split and a balance need to know of it."""

    key: str
    category: str
    site: str
    subject: str
    views: tuple[View, ...]


def case_views(case: Case, across: bool = False) -> CaseViews:
    """The views of ``case``; with ``across`` those of a volume's two other axes too, since pictures of it may be cut along them."""
    image = case.image
    cut = views(image, _SLICES, colours=True)
    for turned in _turned(image) if across and image.spatial_dims == 3 else ():
        cut += views(turned, _SLICES // 3)
    kept = tuple(resized(view, _EDGE) if max(view.shape[:2]) > _EDGE else view for view in cut)
    return CaseViews(case.key, str(case.category), case.site or "", case.subject or case.key, kept)


def sampled(pool: Sequence[CaseViews], classes: Sequence[str], count: int, seed: int, mild: bool = False) -> list[Case]:
    """``count`` changed pictures of every class, in turn from each site and within it from each subject.

    Those of ``unknown`` are made up, and (where ``pool`` has images of no category) mostly of real images of other kinds.

    A picture is made when it is first asked for, from its number and ``seed`` alone. One in ``_AS_IT_IS`` is left as it is, since a
    router will meet most of them so; with ``mild`` all are.
    """
    made = []
    everything = [view for entry in pool if entry.category != UNKNOWN for view in entry.views]
    for place, name in enumerate(classes):
        own = [entry for entry in pool if entry.category == name]
        order = _in_turn(own, count, np.random.default_rng([seed, place, 3])) if own else []
        chances = np.random.default_rng([seed, place, 5]).random(count)
        for number in range(count):
            real = bool(own) and (name != UNKNOWN or chances[number] < _REAL)
            key = order[number].key if real else f"{UNKNOWN}-{number}"
            given = order[number].views if real else everything
            made.append(
                Case(
                    key=key,
                    load_image=_maker(given, real, [seed, place, number], mild or (real and number % _AS_IT_IS == 0)),
                    category=name,
                )
            )
    return made


def _maker(given: Sequence[View], real: bool, seed: list[int], mild: bool) -> Callable[[], Image]:
    def make() -> Image:
        rng = np.random.default_rng(seed)
        view = given[int(rng.integers(len(given)))] if real else outlier(given, rng)
        return image_of(view if mild else degrade(view, rng))

    return make


def _in_turn(own: Sequence[CaseViews], count: int, rng: np.random.Generator) -> list[CaseViews]:
    """Sites weigh by the root of how many subjects they have: a small one is not drowned, nor are its few images all there is."""
    sites: dict[str, dict[str, list[CaseViews]]] = {}
    for entry in own:
        sites.setdefault(entry.site, {}).setdefault(entry.subject, []).append(entry)
    names = sorted(sites)
    weights = np.sqrt([len(sites[name]) for name in names])
    chosen = []
    for place in rng.choice(len(names), size=count, p=weights / weights.sum()):
        subjects = sites[names[int(place)]]
        entries = subjects[sorted(subjects)[int(rng.integers(len(subjects)))]]
        chosen.append(entries[int(rng.integers(len(entries)))])
    return chosen


def _turned(image: Image) -> list[Image]:
    """Pictures of ``image`` cut along its first and its second axis, at equal distances, their pixels made square."""
    if not image.header.spacing_known or image.channels != 1:
        return []
    pictures = []
    for axis in (0, 1):
        rows, columns = (n for place, n in enumerate(image.spatial_shape) if place != axis)
        if min(rows, columns) < _LEAST:
            continue
        pictures.append(_restacked(image, axis))
    return pictures


def _restacked(image: Image, axis: int) -> Image:
    """The volume with ``axis`` last and the longest voxels there, so that ``views`` cuts across it."""
    array = np.moveaxis(image.array, axis + 1, -1)
    spacing = [s for place, s in enumerate(image.spacing) if place != axis]
    factors = [max(1, round(s / min(spacing))) for s in spacing]
    for place, factor in enumerate(factors):
        array = np.repeat(array, factor, axis=place + 1)
    thick = 2.0 * max(array.shape)
    return Image(array, np.diag([1.0, 1.0, thick, 1.0]), image.header)
