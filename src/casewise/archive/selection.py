"""Which of an archive's images are meant: by category, site, subject, masks and keys, asked of the catalogue's columns."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from casewise.archive.catalogue import images, labels
from casewise.case import Structure
from casewise.names import same_structure


@dataclass(frozen=True)
class Selection:
    """Images that meet all of these; what is None or empty excludes none.

    structures : they have masks of all of these. any_structure : of at least one of these. masked : whether they have a mask.
    categories : one of these. category_known : they have a category.
    site, subject, modality : theirs. axes : number of spatial axes. among : only these keys. exclude : none of these keys.
    """

    structures: tuple[Structure, ...] = ()
    any_structure: tuple[Structure, ...] = ()
    masked: bool = False
    categories: frozenset[str] | None = None
    category_known: bool = False
    site: str | None = None
    subject: str | None = None
    modality: str | None = None
    axes: int | None = None
    among: frozenset[str] | None = None
    exclude: frozenset[str] = frozenset()

    def without_keys(self) -> Selection:
        return replace(self, among=None, exclude=frozenset())

    def also(self, structures: Sequence[Structure | str], among: Collection[str] | None) -> Selection:
        """The same with masks and, unless None, keys that are asked for beside it."""
        wanted = tuple(Structure.parse(item) if isinstance(item, str) else item for item in structures)
        keys = self.among if among is None else frozenset(among)
        both = keys if self.among is None or keys is None else self.among & keys
        return replace(self, structures=(*self.structures, *wanted), among=both)

    def but(self, *keys: Collection[str]) -> Selection:
        """The same without the images of these keys."""
        more = frozenset().union(*keys)
        return self if more <= self.exclude else replace(self, exclude=self.exclude | more if self.exclude else more)

    def has(self, key: str) -> bool:
        """Whether an image of this key is selected, as far as its key decides."""
        return (self.among is None or key in self.among) and key not in self.exclude

    def conditions(self, connection: sa.Connection) -> list[sa.ColumnElement[bool]]:
        """What a query of the table ``images`` is limited by; keys are left to the caller, for they may be many."""
        known = {"site": self.site, "subject": self.subject, "modality": self.modality}
        where: list[sa.ColumnElement[bool]] = [images.c[name] == value for name, value in known.items() if value is not None]
        if self.categories is not None:
            where.append(images.c.category.in_(sorted(self.categories)))
        if self.category_known:
            where.append(images.c.category.is_not(None))
        if self.axes is not None:
            where.append(sa.func.json_array_length(images.c.shape) == self.axes)
        if self.masked:
            where.append(images.c.id.in_(sa.select(labels.c.image_id).where(labels.c.kind == "mask")))
        groups = [*((one,) for one in self.structures), *([self.any_structure] if self.any_structure else [])]
        names = _mask_names(connection) if groups else []
        return [*where, *(_have(group, names) for group in groups)]


EVERYTHING = Selection()


def _mask_names(connection: sa.Connection) -> Sequence[str]:
    return list(connection.scalars(sa.select(labels.c.name).where(labels.c.kind == "mask").distinct()))


def _have(structures: Sequence[Structure], names: Sequence[str]) -> sa.ColumnElement[bool]:
    """Images with a mask of one of the structures' parts, however the archive spells it (as ``case.MaskLoaders`` does)."""
    parts = {same_structure(part) for structure in structures for part in structure.parts}
    spelled = [name for name in names if same_structure(name) in parts]
    masks = sa.select(labels.c.image_id).where(labels.c.kind == "mask", labels.c.name.in_(spelled))
    return images.c.id.in_(masks)
